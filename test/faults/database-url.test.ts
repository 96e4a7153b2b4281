/*
 * Each kind of connection reads DATABASE_URL in the same way: the pool, the queue, migrate, the audit, and the check of
 * passwords in `npm start`.
 */
import { chmodSync, writeFileSync } from 'node:fs';
import type { ExecutionContext } from 'ava';
import { pino } from 'pino';
import { sql } from 'slonik';
import { z } from 'zod';
import { runAudit } from '../../src/audit/run.ts';
import { completeUrl } from '../../src/db/connection/target.ts';
import { openPool } from '../../src/db/pool.ts';
import { passwordsToSet } from '../../src/db/role-passwords.ts';
import { migrate } from '../../src/migrate.ts';
import { explain } from '../../src/process.ts';
import { createQueue } from '../../src/queue/boss.ts';
import { test, type Context } from '../support/context.ts';
import { testConfig } from '../support/template.ts';
import { CERTIFIED, startTlsPostgres, type TlsPostgres } from '../support/tls-postgres.ts';

const silent = pino({ level: 'silent' });

type T = ExecutionContext<Context>;

/** For each kind of connection, something that uses it. Each rejects when it cannot connect. */
const kinds: Record<string, (url: string) => Promise<unknown>> = {
  migrate: (url) => migrate({ ...testConfig('orders'), DATABASE_URL: url }, silent),
  'the pool': (url) => factsOf(url),
  'the queue': async (url) => {
    const config = { DATABASE_URL: url, QUEUE_POOL_SIZE_MAX: 2 };
    const { boss, close } = createQueue(config, silent, { supervise: false });
    boss.on('error', () => undefined);
    await boss.start();
    await close(0);
  },
  'the audit': (url) => runAudit({ databaseUrl: url, keys: null }),
  'the check of passwords': (url) => passwordsToSet(url, { oms_api: 'no-password-of-it' }, {}),
};

const Facts = z.object({
  database: z.string(),
  tls: z.boolean(),
  geqo: z.string(),
  name: z.string(),
});

async function factsOf(url: string) {
  const pool = await openPool({ DATABASE_URL: url, POOL_SIZE_MAX: 1 }, silent, 'oms-test');
  try {
    return await pool.one(sql.type(Facts)`
      SELECT current_database() AS database, current_setting('geqo') AS geqo,
        current_setting('application_name') AS name,
        (SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()) AS tls
    `);
  } finally {
    await pool.end();
  }
}

test('every kind of connection reads a URL alike, and trusts only the given CA', async (t) => {
  const server = await startTlsPostgres(t);
  const verified = `sslmode=verify-full&sslrootcert=${server.file('ca.pem')}`;
  const { password, port, socketFolder } = server;
  const accepted = {
    'a CA of its own': server.url(verified),
    'no check of the name': server
      .url(verified.replace('full', 'ca'))
      .replace('localhost', '127.0.0.1'),
    'the default of libpq': server.url(''),
    options: server.url(`${verified}&options=-c%20geqo%3Doff`),
    'a socket': `postgres://postgres:${password}@/orders?host=${socketFolder}&port=${port}`,
    'a socket as the host': `postgres://postgres:${password}@${encodeURIComponent(socketFolder)}:${port}/orders`,
    'a list of hosts': `postgres://postgres:${password}@localhost:1,localhost:${port}/orders?${verified}`,
    'variables of libpq': completeUrl(`postgres://postgres@localhost/orders?sslmode=verify-full`, {
      PGPASSWORD: password,
      PGPORT: String(port),
      PGSSLROOTCERT: server.file('ca.pem'),
    }),
    'a file of passwords': `postgres://postgres@localhost:${port}/orders?passfile=${passfile(server)}`,
  };
  for (const [what, url] of Object.entries(accepted)) {
    for (const [kind, work] of Object.entries(kinds)) {
      await t.notThrowsAsync(work(url), `${kind} with ${what}`);
    }
  }
  await refusesOthers(t, server);
  await reportsWhatItIs(t, server);
});

async function refusesOthers(t: T, server: TlsPostgres): Promise<void> {
  const file = server.file('ca.pem');
  const refused: [what: string, url: string, line: RegExp][] = [
    [
      'another CA',
      server.url(`sslmode=verify-full&sslrootcert=${server.file('other-ca.pem')}`),
      /certificate/,
    ],
    ['the CAs of Node', server.url('sslrootcert=system'), /certificate/],
    [
      'another name',
      server.url(`sslmode=verify-full&sslrootcert=${file}`).replace('localhost', '127.0.0.1'),
      /127\.0\.0\.1/,
    ],
    ['no TLS', server.url('sslmode=disable'), /no encryption/],
    [
      'a missing file',
      server.url('sslmode=verify-full&sslrootcert=/nowhere/ca.pem'),
      /^The file of sslrootcert in DATABASE_URL cannot be read: \/nowhere\/ca\.pem \(ENOENT\)$/,
    ],
    [
      'no password',
      server.url('passfile=/nowhere').replace(`:${server.password}`, ''),
      /^The server asks for a password, and DATABASE_URL and the password file have none$/,
    ],
  ];
  for (const [what, url, line] of refused) {
    for (const [kind, work] of Object.entries(kinds)) {
      const error = await t.throwsAsync(work(url), undefined, `${kind} with ${what}`);
      t.regex(explain(error), line, `${kind} with ${what}`);
      t.notRegex(explain(error), /\n/);
      t.false(explain(error).includes(server.password));
    }
  }
}

async function reportsWhatItIs(t: T, server: TlsPostgres): Promise<void> {
  const ca = `sslrootcert=${server.file('ca.pem')}`;
  const own = await factsOf(server.url(`${ca}&options=-c%20geqo%3Doff`));
  t.like(own, { database: 'orders', tls: true, geqo: 'off' });
  t.regex(own.name, new RegExp(`^oms-test \\S+:${process.pid}$`));
  const named = await factsOf(server.url(`application_name=shop`));
  t.like(named, { name: 'shop', tls: true, geqo: 'on' });
  const [cert, key] = [server.file('client.crt'), server.file('client.key')];
  const login = `postgres://${CERTIFIED}@localhost:${server.port}/orders`;
  const certified = await factsOf(`${login}?${ca}&sslcert=${cert}&sslkey=${key}`);
  t.like(certified, { database: 'orders', tls: true });
}

function passfile({ file, port, password }: TlsPostgres): string {
  const path = file('passfile');
  writeFileSync(
    path,
    `# passwords\nelsewhere:*:*:*:wrong\nlocalhost:${port}:*:postgres:${password}\n`,
  );
  chmodSync(path, 0o600);
  return path;
}
