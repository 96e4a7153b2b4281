/*
 * A Postgres with a CA of its own, which accepts TCP connections only with TLS, and with a Unix socket of its own.
 */
import { execFileSync } from 'node:child_process';
import { chmodSync, chownSync, statSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { takeDataDir } from '../../src/local/data-dir.ts';
import { ensureDatabase, startPostgresIn } from '../../src/local/postgres.ts';
import { connect } from './migrating.ts';
import { temporaryFolder } from './processes.ts';
import type { Context } from './context.ts';
import { FAST_AND_FORGETFUL } from './servers.ts';

/** The server, its files, and the parts of its URL. */
export type TlsPostgres = {
  /** The URL of database `orders` with these parameters, over TCP. */
  url: (parameters: string) => string;
  password: string;
  port: number;
  socketFolder: string;
  /** The path of a file: `ca.pem`, `other-ca.pem`, `client.crt`, `client.key`. */
  file: (name: string) => string;
};

/** A login that has no password, only a certificate. */
export const CERTIFIED = 'certified';

/** Starts the server. Its certificate is for `localhost`, and not for an address. */
export async function startTlsPostgres(t: ExecutionContext<Context>): Promise<TlsPostgres> {
  const folder = temporaryFolder(t);
  // The path of a socket may have 107 characters at most, and the server may run as another user.
  const socketFolder = await mkdtemp('/tmp/oms-s-');
  chmodSync(socketFolder, 0o777);
  t.teardown(() => rm(socketFolder, { recursive: true, force: true }));
  makeCertificates(folder);
  const settings = [...FAST_AND_FORGETFUL, `unix_socket_directories=${socketFolder}`];
  const dataDir = takeDataDir(folder);
  const postgres = await startPostgresIn(dataDir, settings);
  t.teardown(postgres.stop);
  await ensureDatabase(postgres, 'orders');
  const superuser = await connect(t, postgres.url('orders'));
  await superuser.query(`CREATE ROLE ${CERTIFIED} SUPERUSER LOGIN`);
  useTls(dataDir.path('postgres'), folder);
  for (const [name, value] of Object.entries(TLS_SETTINGS)) {
    await superuser.query(`ALTER SYSTEM SET ${name} = '${value}'`);
  }
  await superuser.query('SELECT pg_reload_conf()');
  const { password, port } = new URL(postgres.url('orders'));
  return {
    url: (parameters) => `postgres://postgres:${password}@localhost:${port}/orders?${parameters}`,
    password,
    port: Number(port),
    socketFolder,
    file: (name) => join(folder, name),
  };
}

const TLS_SETTINGS = {
  ssl: 'on',
  ssl_cert_file: 'server.crt',
  ssl_key_file: 'server.key',
  ssl_ca_file: 'ca.pem',
};

const HBA = `
local   all all                         scram-sha-256
hostssl all ${CERTIFIED} 0.0.0.0/0      cert
hostssl all ${CERTIFIED} ::/0           cert
hostssl all all          0.0.0.0/0      scram-sha-256
hostssl all all          ::/0           scram-sha-256
`;

/** Copies the certificates into the data directory, as files of its owner, and writes pg_hba.conf. */
function useTls(dataDirectory: string, folder: string): void {
  const { uid, gid } = statSync(dataDirectory);
  for (const name of ['server.crt', 'server.key', 'ca.pem']) {
    const copy = join(dataDirectory, name);
    execFileSync('cp', [join(folder, name), copy]);
    chownSync(copy, uid, gid);
    chmodSync(copy, 0o600);
  }
  writeFileSync(join(dataDirectory, 'pg_hba.conf'), HBA);
}

function makeCertificates(folder: string): void {
  const openssl = (...args: string[]) =>
    execFileSync('openssl', args, { cwd: folder, stdio: ['ignore', 'ignore', 'pipe'] });
  const newKey = ['-newkey', 'rsa:2048', '-nodes'];
  for (const ca of ['ca', 'other-ca']) {
    const files = ['-keyout', `${ca}.key`, '-out', `${ca}.pem`];
    openssl('req', '-x509', ...newKey, ...files, '-subj', `/CN=${ca}`, '-days', '2');
  }
  writeFileSync(join(folder, 'names'), 'subjectAltName=DNS:localhost\n');
  for (const [name, subject] of [
    ['server', 'localhost'],
    ['client', CERTIFIED],
  ] as const) {
    const request = ['-keyout', `${name}.key`, '-out', `${name}.csr`];
    openssl('req', ...newKey, ...request, '-subj', `/CN=${subject}`);
    const files = ['-in', `${name}.csr`, '-out', `${name}.crt`, '-extfile', 'names'];
    const ca = ['-CA', 'ca.pem', '-CAkey', 'ca.key', '-CAcreateserial'];
    openssl('x509', '-req', ...files, ...ca, '-days', '2');
  }
}
