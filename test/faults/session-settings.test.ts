/*
 * Settings that an owner or a thief has made for a database or a role. No reply, no signature and no rule may depend on
 * them, except that a database which its owner has made read-only stays so.
 */
import { randomBytes } from 'node:crypto';
import type { ExecutionContext } from 'ava';
import { pino } from 'pino';
import { signDailyHead } from '../../src/audit/heads.ts';
import { readPublicKeys, readSigner } from '../../src/audit/keys.ts';
import { runAudit } from '../../src/audit/run.ts';
import { runScheduledAudit } from '../../src/audit/scheduled.ts';
import { verifyEvidence } from '../../src/audit/verify.ts';
import { migrate } from '../../src/migrate.ts';
import { makeKey, untilTransactionsEnd } from '../support/audit.ts';
import {
  closeService,
  drain,
  openService,
  signUp,
  test,
  type Context,
} from '../support/context.ts';
import { temporaryFolder } from '../support/processes.ts';
import { copyTemplate, databaseUrl, onServer, testConfig } from '../support/template.ts';

/** Values that would change replies, signatures or rules if the service did not set its own. */
const hostile: Record<string, string> = {
  DateStyle: 'German',
  IntervalStyle: 'sql_standard',
  TimeZone: 'Africa/Monrovia',
  extra_float_digits: '-15',
  search_path: 'pg_catalog',
  bytea_output: 'escape',
  standard_conforming_strings: 'off',
  default_transaction_isolation: 'serializable',
  default_transaction_deferrable: 'on',
  quote_all_identifiers: 'on',
  transform_null_equals: 'on',
  statement_timeout: '1ms',
  lock_timeout: '1ms',
  idle_in_transaction_session_timeout: '1ms',
  idle_session_timeout: '1ms',
  synchronous_commit: 'off',
  plan_cache_mode: 'force_custom_plan',
  jit_above_cost: '0',
  array_nulls: 'off',
  row_security: 'off',
};

const silent = pino({ level: 'silent' });

const cases: [what: string, settings: Record<string, string>][] = [
  ['every one of these settings', hostile],
  ['DateStyle German', { DateStyle: 'German, DMY' }],
  ['a time zone with seconds', { TimeZone: 'Europe/Amsterdam' }],
  ['few digits of floats', { extra_float_digits: '-15' }],
  ['no schema public in the search_path', { search_path: 'pg_catalog, pg_temp' }],
  ['a statement_timeout of 1 ms', { statement_timeout: '1ms' }],
  ['serializable transactions', { default_transaction_isolation: 'serializable' }],
];

for (const [what, settings] of cases) {
  test(`with ${what} for the database, orders, audits and signatures are as always`, async (t) => {
    const service = await serviceWith(t, (name) =>
      Object.entries(settings).map(
        ([setting, value]) => `ALTER DATABASE ${name} SET ${setting} = ${quoted(setting, value)}`,
      ),
    );

    t.deepEqual(await everythingWorks(t, service), AS_ALWAYS);
  });
}

test('a role that was made read-only by its login places orders all the same', async (t) => {
  const service = await serviceWith(t, (name) =>
    ['oms_api', 'oms_worker', new URL(databaseUrl(name)).username].flatMap((role) =>
      ['default_transaction_read_only = on', `TimeZone = 'Asia/Kolkata'`, 'DateStyle = SQL'].map(
        (setting) => `ALTER ROLE ${role} IN DATABASE ${name} SET ${setting}`,
      ),
    ),
  );

  t.deepEqual(await everythingWorks(t, service), AS_ALWAYS);
});

test('a database that its owner has made read-only stays so, and requests get 503', async (t) => {
  const service = await serviceWith(t, () => []);
  const user = await signUp(service);
  await onServer(`ALTER DATABASE ${service.database} SET default_transaction_read_only = on`);
  await onServer(
    `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '${service.database}'`,
  );

  const placed = await user.request('POST', '/orders', { product_name: 'Kettle', amount: '1.00' });

  t.is(placed.status, 503);
});

test('a migrate works with every one of these settings', async (t) => {
  const name = `oms_test_${randomBytes(6).toString('hex')}`;
  await onServer(`CREATE DATABASE ${name}`);
  t.teardown(() => onServer(`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`));
  for (const [setting, value] of Object.entries(hostile)) {
    await onServer(`ALTER DATABASE ${name} SET ${setting} = ${quoted(setting, value)}`);
  }

  await t.notThrowsAsync(migrate(testConfig(name), silent));
  await t.notThrowsAsync(migrate(testConfig(name), silent));
});

function quoted(setting: string, value: string): string {
  return setting === 'search_path' || setting === 'DateStyle' ? value : `'${value}'`;
}

/** A service on a database with settings of its own. */
async function serviceWith(
  t: ExecutionContext<Context>,
  statements: (database: string) => string[],
): Promise<Context> {
  const name = `oms_test_${randomBytes(6).toString('hex')}`;
  await copyTemplate(name);
  t.teardown(() => onServer(`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`));
  for (const statement of statements(name)) await onServer(statement);
  const service = await openService(testConfig(name));
  t.teardown(() => closeService(service));
  return { database: name, ...service };
}

/** What the checks below find when a database has no settings of its own. */
const AS_ALWAYS = {
  placed: { status: 'PENDING', product_name: 'Tea', amount: '0.10' },
  isNow: true,
  cancelled: 200,
  processed: ['completed'],
  listed: ['CANCELLED', 'COMPLETED'],
  scheduled: {},
  audited: {},
  head: { number: 1, events: 5 },
  heads: { checked: 1, signatures: 'checked', covered_events: 5 },
  evidence: [],
};

/** Places, cancels, processes and lists orders, signs a head, and audits with evidence. */
async function everythingWorks(t: ExecutionContext<Context>, service: Context) {
  const user = await signUp(service);
  const placed = await user.request('POST', '/orders', { product_name: 'Tea', amount: '0.10' });
  const { status, product_name, amount, created_at } = placed.body;
  t.regex(created_at, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
  const cancelled = await user.request('PUT', `/orders/${await user.place()}/cancellation`);
  const processed = await drain(service.deps, 'process-order');
  const listed = await user.request('GET', '/orders');
  await untilTransactionsEnd(service);
  return {
    placed: { status, product_name, amount },
    isNow: Math.abs(Date.parse(created_at) - Date.now()) < 600_000,
    cancelled: cancelled.status,
    processed,
    listed: listed.body.orders.map((order: { status: string }) => order.status).toSorted(),
    ...(await auditAndSign(service, temporaryFolder(t))),
  };
}

async function auditAndSign({ database, deps }: Context, folder: string) {
  const { keyFile } = makeKey(folder);
  const DATABASE_URL = databaseUrl(database, 'oms_worker');
  const config = { ...deps.config, DATABASE_URL, AUDIT_SIGNING_KEY_FILE: keyFile };
  const scheduled = await runScheduledAudit({ config, log: silent });
  const head = await signDailyHead({ config, log: silent });
  const keys = readPublicKeys(keyFile);
  const file = `${folder}/evidence.json`;
  const evidence = { file, signer: readSigner(keyFile) };
  const report = await runAudit({ databaseUrl: databaseUrl(database), keys, evidence });
  const { checked, signatures, covered_events } = report.heads;
  return {
    scheduled: scheduled.counts,
    audited: report.findings.counts,
    head: { number: head?.number, events: head?.events },
    heads: { checked, signatures, covered_events },
    evidence: verifyEvidence(file, keys).problems,
  };
}
