import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, cpSync, readFileSync, symlinkSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { Client } from 'pg';
import { test } from '../../test/support/context.ts';
import { temporaryFolder } from '../../test/support/processes.ts';
import { takeDataDir } from './data-dir.ts';
import { findBinaries } from './binaries.ts';
import { startPostgres, startPostgresIn } from './postgres.ts';

const isRoot = process.getuid?.() === 0;

test('Postgres starts in a checkout that only its owner can enter', async (t) => {
  const folder = temporaryFolder(t);
  const { postgres, initdb } = await findBinaries();
  const copying = { recursive: true, verbatimSymlinks: true };
  cpSync(join(dirname(postgres), '..'), join(folder, 'native'), copying);
  const inFolder = (program: string) =>
    join(folder, 'native', 'bin', program.split('/').at(-1) ?? '');
  const dataDir = takeDataDir(join(folder, 'data'));
  dataDir.secret('password');
  chmodSync(folder, 0o700);

  const started = await startPostgres({
    dir: dataDir.path('postgres'),
    passwordFile: dataDir.path('password'),
    binaries: { postgres: inFolder(postgres), initdb: inFolder(initdb) },
  });
  t.teardown(started.stop);

  const client = new Client(started.url('postgres'));
  await client.connect();
  const { rows } = await client.query<{ fsync: string }>('SHOW fsync');
  await client.end();
  t.deepEqual(rows, [{ fsync: 'on' }]);
});

test('neither the server nor its process for a client has any right of root', async (t) => {
  const started = await startPostgresIn(takeDataDir(join(temporaryFolder(t), 'data')));
  t.teardown(started.stop);
  const client = new Client(started.url('postgres'));
  await client.connect();
  const { rows } = await client.query<{ pid: number }>('SELECT pg_backend_pid() AS pid');

  const statuses = [started.child.pid ?? 0, rows[0]?.pid ?? 0].map(rightsOf);
  await client.end();

  for (const status of statuses) {
    t.like(status, { ...NO_CAPABILITY, isRoot: false });
    if (isRoot) t.like(status, { CapBnd: NONE, NoNewPrivs: '1', Groups: '' });
  }
});

test('on a machine without setpriv the server has no right of root either', async (t) => {
  const PATH = temporaryFolder(t);
  symlinkSync(spawnSync('which', ['id'], { encoding: 'utf8' }).stdout.trim(), join(PATH, 'id'));
  const [dataDir, postgres] = ['data-dir.ts', 'postgres.ts'].map((name) =>
    JSON.stringify(fileURLToPath(new URL(name, import.meta.url))),
  );
  const script = `
    const { takeDataDir } = await import(${dataDir});
    const { startPostgresIn } = await import(${postgres});
    const started = await startPostgresIn(takeDataDir(${JSON.stringify(join(temporaryFolder(t), 'data'))}));
    console.log(started.child.pid);
    process.stdin.resume().once('end', () => started.stop());
  `;
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
    env: { PATH },
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const exited = once(child, 'exit');
  const [pid] = (await once(createInterface({ input: child.stdout }), 'line')) as [string];

  const status = rightsOf(Number(pid));
  child.stdin.end();

  t.like(status, { ...NO_CAPABILITY, isRoot: false });
  if (isRoot) t.is(status.Groups, '');
  t.deepEqual(await exited, [0, null]);
});

const NONE = '0000000000000000';
const NO_CAPABILITY = { CapInh: NONE, CapPrm: NONE, CapEff: NONE, CapAmb: NONE };

/** The user, groups and capabilities of a process: proc_pid_status(5). */
function rightsOf(pid: number): Record<string, unknown> {
  const lines = readFileSync(`/proc/${pid}/status`, 'utf8').split('\n');
  const fields = lines.map((line) => line.split(/:\s*/).map((text) => text.trim()));
  const status = Object.fromEntries(fields) as Record<string, string>;
  return { ...status, isRoot: /\b0\b/.test(`${status.Uid} ${status.Gid}`) };
}
