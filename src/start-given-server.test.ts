import type { ExecutionContext } from 'ava';
import { Client } from 'pg';
import { OWN_SOURCES, readSql } from './db/migrate/sources.ts';
import { takeDataDir } from './local/data-dir.ts';
import { ensureDatabase, startPostgresIn } from './local/postgres.ts';
import { test } from '../test/support/context.ts';
import {
  environmentOf,
  freshSettings,
  pidOf,
  startEverything,
  startProgram,
  temporaryFolder,
} from '../test/support/processes.ts';
import { FAST_AND_FORGETFUL } from '../test/support/servers.ts';

// Serial, like start.test.ts.

test.serial('with DATABASE_URL, API and worker log in as their roles', async (t) => {
  const { settings } = await freshSettings(t);
  const { DATABASE_URL } = await givenServer(t);
  const API_DATABASE_PASSWORD = 'given-and-long-enough';
  const given = { ...settings, DATABASE_URL, API_DATABASE_PASSWORD };

  const started = await startEverything(t, given);
  const urls = ['src/api.ts', 'src/worker.ts'].map(
    (name) => environmentOf(pidOf(started, name) ?? 0).DATABASE_URL ?? '',
  );
  started.send('SIGINT');
  await started.ended;
  await t.notThrowsAsync(startEverything(t, given), 'the second start uses the same passwords');

  const [api = '', worker = ''] = urls;
  t.is(new URL(api).password, API_DATABASE_PASSWORD);
  t.is(new URL(worker).username, 'oms_worker');
  for (const url of urls) {
    t.is(new URL(url).search, '');
    const client = await connect(t, url);
    await t.throwsAsync(client.query('RESET ROLE; SELECT rolpassword FROM pg_authid'), {
      message: /permission denied/,
    });
  }
  t.notRegex(started.stdout(), /psql '/, 'no password is shown');
});

test.serial(
  'a password that other processes may use is not replaced, and one line says what to set',
  async (t) => {
    const { settings } = await freshSettings(t);
    const { DATABASE_URL, client } = await givenServer(t);
    await client.query(`CREATE ROLE oms_worker LOGIN PASSWORD 'that-others-use'`);

    const { code, stderr } = await startProgram(t, 'start', { ...settings, DATABASE_URL }).ended;

    t.is(code, 1);
    t.is(
      stderr.trim().split('\n').at(-1),
      'oms_worker has a password, and WORKER_DATABASE_PASSWORD is not set: set it to that password, or to a new one.',
    );
  },
);

test.serial('a login that may not set passwords gets one line that says what to set', async (t) => {
  const { settings } = await freshSettings(t);
  const { DATABASE_URL, client } = await givenServer(t);
  const api = 'a-password-of-the-api';
  await client.query(await readSql(OWN_SOURCES, 'roles.sql'));
  await client.query(await readSql(OWN_SOURCES, 'database.sql'));
  await client.query(`ALTER ROLE oms_owner LOGIN PASSWORD 'owner'`);
  const url = new URL(DATABASE_URL);
  [url.username, url.password] = ['oms_owner', 'owner'];
  const given = { ...settings, DATABASE_URL: url.href };

  const refused = await startProgram(t, 'start', given).ended;
  await client.query(`ALTER ROLE oms_api LOGIN PASSWORD '${api}'`);
  await client.query(`ALTER ROLE oms_worker LOGIN PASSWORD '${api}'`);
  const passwords = { API_DATABASE_PASSWORD: api, WORKER_DATABASE_PASSWORD: api };
  await t.notThrowsAsync(startEverything(t, { ...given, ...passwords }));

  t.is(refused.code, 1);
  t.is(
    refused.stderr.trim().split('\n').at(-1),
    'The user of DATABASE_URL may not set the password of oms_api. npm start needs the current password of the ' +
      'role in API_DATABASE_PASSWORD; npm run migrate needs no password.',
  );
});

/** A server that npm start does not manage, with an empty database. */
async function givenServer(t: ExecutionContext) {
  const postgres = await startPostgresIn(takeDataDir(temporaryFolder(t)), FAST_AND_FORGETFUL);
  t.teardown(postgres.stop);
  await ensureDatabase(postgres, 'orders');
  const DATABASE_URL = postgres.url('orders');
  return { DATABASE_URL, client: await connect(t, DATABASE_URL) };
}

async function connect(t: ExecutionContext, url: string): Promise<Client> {
  const client = new Client(url);
  client.on('error', () => undefined);
  await client.connect();
  t.teardown(() => client.end());
  return client;
}
