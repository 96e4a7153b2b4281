import { Client } from 'pg';
import { sql } from 'slonik';
import { z } from 'zod';
import { asWorker, claim, signUp, test, withSettings } from '../../test/support/context.ts';
import { expireKeys, keysOf, ordersOf, sendKeyed } from '../../test/support/idempotency.ts';
import { runClaimedBatch } from '../../test/support/workers.ts';
import { pruneIdempotencyKeys } from './idempotency.ts';

const PLACE = ['POST', '/orders'] as const;
const KETTLE = { product_name: 'Kettle', amount: '34.90' };
const TEAPOT = { product_name: 'Teapot', amount: '12.00' };

test('a key expires after IDEMPOTENCY_KEY_TTL_HOURS', async (t) => {
  const service = await withSettings(t, { IDEMPOTENCY_KEY_TTL_HOURS: '3' });
  const user = await signUp(service);

  await sendKeyed(user, service.origin, PLACE, 'k', KETTLE);

  const left = await service.deps.pool.oneFirst(sql.type(z.object({ minutes: z.number() }))`
    SELECT round(extract(epoch FROM expires_at - now()) / 60)::integer AS minutes
    FROM idempotency_keys WHERE user_id = ${user.id}
  `);
  t.true(left === 180 || left === 179, `${left} minutes`);
});

test('a key that has expired can be used again, also before it is pruned', async (t) => {
  const { origin, deps } = t.context;
  const user = await signUp(t.context);
  const first = await sendKeyed(user, origin, PLACE, 'k', KETTLE);
  await expireKeys(deps, user.id);

  const second = await sendKeyed(user, origin, PLACE, 'k', TEAPOT);
  const again = await sendKeyed(user, origin, PLACE, 'k', TEAPOT);

  t.deepEqual([second.status, second.replayed], [201, null]);
  t.not(second.location, first.location);
  t.is(again.text, second.text);
  t.is(again.replayed, 'true');
  t.is(await ordersOf(deps, user.id), 2);
  t.deepEqual(await keysOf(deps, user.id), ['k']);
});

// The next tests are serial, because pruning deletes the expired keys of all tests in this file.

test.serial('pruning deletes expired keys, in batches, and no others', async (t) => {
  const { deps, origin } = t.context;
  const [ada, bob] = await Promise.all([signUp(t.context), signUp(t.context)]);
  for (const key of ['a', 'b', 'c', 'd', 'e']) await sendKeyed(ada, origin, PLACE, key, KETTLE);
  await sendKeyed(bob, origin, PLACE, 'k', KETTLE);
  await expireKeys(deps, ada.id);

  const pruned = await pruneIdempotencyKeys(asWorker(deps), 2);

  t.is(pruned, 5);
  t.deepEqual(await keysOf(deps, ada.id), []);
  t.deepEqual(await keysOf(deps, bob.id), ['k']);
  t.is(await ordersOf(deps, ada.id), 5);
});

test.serial('pruning skips a key that another transaction has locked', async (t) => {
  const { deps, origin } = t.context;
  const user = await signUp(t.context);
  for (const key of ['idle', 'used']) await sendKeyed(user, origin, PLACE, key, KETTLE);
  await expireKeys(deps, user.id);

  const client = new Client(deps.config.DATABASE_URL);
  await client.connect();
  await client.query('BEGIN');
  await client.query(`
    SELECT FROM idempotency_keys WHERE user_id = '${user.id}' AND key = 'used' FOR UPDATE
  `);
  await pruneIdempotencyKeys(asWorker(deps));
  const meanwhile = await keysOf(deps, user.id);
  await client.end();
  await pruneIdempotencyKeys(asWorker(deps));

  t.deepEqual(meanwhile, ['used']);
  t.deepEqual(await keysOf(deps, user.id), []);
});

test.serial('the nightly job prunes keys, and its output has their number', async (t) => {
  const { deps, origin } = t.context;
  const user = await signUp(t.context);
  await sendKeyed(user, origin, PLACE, 'k', KETTLE);
  await expireKeys(deps, user.id);

  await deps.boss.send('prune', {});
  const [job] = await claim(deps, 'prune');
  const [result] = await runClaimedBatch(asWorker(deps), 'prune', job ? [job] : []);

  t.deepEqual(await keysOf(deps, user.id), []);
  t.like(result, { status: 'completed', output: { idempotency_keys: 1 } });
});
