import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { pino } from 'pino';
import { untilTransactionsEnd, asSuperuser, makeKey, tamper } from '../../test/support/audit.ts';
import { drain, ownService, signUp, test, type Context } from '../../test/support/context.ts';
import { connectDba } from '../../test/support/dba.ts';
import { temporaryFolder } from '../../test/support/processes.ts';
import { databaseUrl } from '../../test/support/template.ts';
import { insertOrders } from '../../test/support/orders.ts';
import { signDailyHead } from './heads.ts';
import { readPublicKeys, trustedKeys } from './keys.ts';
import { runAudit } from './run.ts';

const silent = pino({ level: 'silent' });

/** A service with completed orders, and functions that sign heads and audit with its key. */
async function prepare(t: ExecutionContext<Context>) {
  const service = await ownService(t);
  const user = await signUp(service);
  const place = async () => {
    const ids = await insertOrders(service.deps, user.id, 3);
    await drain(service.deps, 'process-order');
    await untilTransactionsEnd(service);
    return ids;
  };
  const { keyFile } = makeKey(temporaryFolder(t));
  const DATABASE_URL = databaseUrl(service.database, 'oms_worker');
  const sign = (file: string | undefined = keyFile) =>
    signDailyHead({
      config: { ...service.deps.config, DATABASE_URL, AUDIT_SIGNING_KEY_FILE: file },
      log: silent,
    });
  const audit = async (keys = readPublicKeys(keyFile)) => {
    const databaseUrlOf = databaseUrl(service.database);
    const { findings, heads } = await runAudit({ databaseUrl: databaseUrlOf, keys });
    return {
      heads,
      counts: findings.counts,
      problems: findings.listed
        .filter(({ invariant }) => invariant === 'HEADS')
        .map(({ evidence }) => evidence.problem),
    };
  };
  return { service, keyFile, place, sign, audit };
}

test('each head covers the events since the head before, and all heads verify', async (t) => {
  const { place, sign, audit } = await prepare(t);
  await place();
  const first = await sign();
  await place();
  const second = await sign();
  await place();

  const { counts, heads } = await audit();

  t.deepEqual(counts, {});
  t.like(heads, { checked: 2, signatures: 'checked', covered_events: 18 });
  t.is(second?.from_xid, first?.to_xid);
  t.deepEqual([first?.number, first?.events, second?.number, second?.events], [1, 9, 2, 9]);
});

test('events of a transaction that is open when a head is made are covered by the next head', async (t) => {
  const { service, place, sign, audit } = await prepare(t);
  await place();
  const user = await signUp(service);
  const psql = await connectDba(t, service, 'postgres');

  await psql.rows('BEGIN');
  await psql.rows(`SELECT place_order($1, 'Kettle', 34.90)`, [user.id]);
  const head = await sign();
  await psql.rows('COMMIT');
  t.is(head?.events, 9);
  await untilTransactionsEnd(service);
  const next = await sign();

  t.is(next?.events, 1);
  t.deepEqual((await audit()).counts, {});
});

test('the heads find a trail that was rewritten with all its hashes, which I7 does not find', async (t) => {
  const { service, place, sign, audit } = await prepare(t);
  const [id = ''] = await place();
  await sign();
  await rewrite(service, id);

  const { counts, problems } = await audit();

  t.deepEqual(counts, { HEADS: 1 });
  t.regex(String(problems[0]), /the events that it covers have changed/);
});

const hashOf = (version: number) =>
  `SELECT p.hash FROM order_events AS p WHERE p.order_id = $1 AND p.version = ${version}`;

/** The attack of an owner who knows the formula: changes an amount, and recomputes every hash after it. */
async function rewrite(service: Context, id: string): Promise<void> {
  const chained = (version: number, previous: string) =>
    [
      `UPDATE order_events AS e SET hash = order_event_hash_v1((${previous}), e.order_id, e.version, e.from_status,
         e.to_status, e.actor, e.reason, e.job_id, e.attempt, e.at, e.xact_id)
       WHERE e.order_id = $1 AND e.version = ${version}`,
      [id],
    ] satisfies [string, unknown[]];
  const content = `SELECT order_content_hash_v1(o.id, o.user_id, o.product_name, o.amount, o.currency, o.metadata,
    o.created_at, o.xact_id) FROM orders AS o WHERE o.id = $1`;
  await tamper(
    service,
    ['UPDATE orders SET amount = 0.01 WHERE id = $1', [id]],
    chained(1, content),
    chained(2, hashOf(1)),
    chained(3, hashOf(2)),
  );
}

test('the heads find that an order was deleted with all its events', async (t) => {
  const { service, place, sign, audit } = await prepare(t);
  const [id = ''] = await place();
  await sign();
  await tamper(
    service,
    ['DELETE FROM order_events WHERE order_id = $1', [id]],
    ['DELETE FROM orders WHERE id = $1', [id]],
    ['DELETE FROM pgboss.job WHERE id = $1', [id]],
  );

  const { counts, problems } = await audit();

  t.deepEqual(counts, { HEADS: 2 });
  t.true(problems.includes('there are more or fewer events than the heads cover'));
});

test('a head that was changed, or signed with another key, is found', async (t) => {
  const { service, place, sign, audit } = await prepare(t);
  await place();
  await sign();
  const stranger = readPublicKeys(makeKey(temporaryFolder(t)).keyFile);
  const foreign = await audit(stranger);
  await tamper(service, ['UPDATE audit_heads SET events = 8']);
  const changed = await audit();

  t.regex(String(foreign.problems[0]), /^it is signed by another key: [0-9a-f]{16}$/);
  t.true(changed.problems.includes('its signature does not match its content'));
});

test('a missing head is found', async (t) => {
  const { service, place, sign, audit } = await prepare(t);
  await place();
  await sign();
  await place();
  await sign();
  await tamper(service, ['DELETE FROM audit_heads WHERE number = 1']);

  t.true((await audit()).problems.includes('the head before it is missing or was changed'));
});

test('without a key a head is not signed, and the audit reports it until a later signed head covers it', async (t) => {
  const { service, keyFile, place, sign, audit } = await prepare(t);
  const log: Record<string, unknown>[] = [];
  const logger = pino({ level: 'warn' }, { write: (line) => void log.push(JSON.parse(line)) });
  await place();
  await signDailyHead({ config: service.deps.config, log: logger });
  const unsigned = await audit();
  await place();
  await sign(keyFile);
  const vouched = await audit();

  t.deepEqual(
    log.map(({ msg }) => msg),
    ['daily head is not signed: set AUDIT_SIGNING_KEY_FILE'],
  );
  t.deepEqual(unsigned.problems, ['it is not signed']);
  t.deepEqual(vouched.problems, []);
});

test('after a change of key, heads verify with a file of both public keys', async (t) => {
  const { keyFile, place, sign, audit } = await prepare(t);
  const folder = temporaryFolder(t);
  const next = makeKey(folder);
  await place();
  await sign(keyFile);
  await place();
  await sign(next.keyFile);
  const both = join(folder, 'both.pub');
  writeFileSync(both, `${publicPem(keyFile)}${publicPem(next.keyFile)}`);

  t.deepEqual((await audit(trustedKeys(both, undefined) ?? undefined)).counts, {});
});

function publicPem(keyFile: string): string {
  const [key] = [...readPublicKeys(keyFile).values()];
  return String(key?.export({ type: 'spki', format: 'pem' }));
}

test('heads cannot be changed, deleted or truncated', async (t) => {
  const { service, place, sign } = await prepare(t);
  await place();
  await sign();

  for (const statement of [
    'UPDATE audit_heads SET events = 0',
    'DELETE FROM audit_heads',
    'TRUNCATE audit_heads',
  ]) {
    await t.throwsAsync(asSuperuser(service, statement), { code: 'OM002' }, statement);
  }
  t.is((await asSuperuser(service, 'SELECT number FROM audit.heads')).length, 1);
});

test('job sign-head signs a head with the rights of a worker', async (t) => {
  const { service, place, keyFile } = await prepare(t);
  await place();
  const settings = {
    DATABASE_URL: databaseUrl(service.database, 'oms_worker'),
    AUDIT_SIGNING_KEY_FILE: keyFile,
  };
  await service.deps.boss.send('sign-head', {});

  const config = { ...service.deps.config, ...settings };
  const outcomes = await drain({ ...service.deps, config }, 'sign-head');

  t.deepEqual(outcomes, ['completed']);
  const heads = await asSuperuser(
    service,
    'SELECT number, key_id IS NOT NULL AS signed FROM audit.heads',
  );
  t.deepEqual(heads, [{ number: 1, signed: true }]);
});
