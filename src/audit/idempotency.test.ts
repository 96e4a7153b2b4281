import { randomUUIDv7 } from 'node:crypto';
import type { ExecutionContext } from 'ava';
import { tamper, violations } from '../../test/support/audit.ts';
import { signUp, test, type Context } from '../../test/support/context.ts';

type Changes = Partial<{
  user_id: string;
  method: string;
  status: number;
  order_id: string;
  stored_id: string;
  xact_id: string;
}>;

/** An order, and keys that name it. Each argument changes columns of one key of the request that created the order. */
async function placedWithKey(t: ExecutionContext<Context>, ...keys: Changes[]): Promise<string> {
  const user = await signUp(t.context);
  const id = await user.place();
  const statements = keys.map((changes, index): [string, unknown[]] => {
    const key = { user_id: user.id, method: 'POST', status: 201, order_id: id, ...changes };
    return [
      `INSERT INTO idempotency_keys
         (user_id, method, path, key, fingerprint, status, body, order_id, xact_id, expires_at)
       VALUES ($1, $2, '/orders', $3, sha256(''), $4, $5, $6,
         coalesce($7::xid8, (SELECT xact_id FROM orders WHERE id = $8), '1'), now() + interval '1 day')`,
      [
        key.user_id,
        key.method,
        `key-${index}`,
        key.status,
        { id: key.stored_id ?? key.order_id },
        key.order_id,
        key.xact_id ?? null,
        id,
      ],
    ];
  });
  await tamper(t.context, ...statements);
  return id;
}

async function problems(t: ExecutionContext<Context>, id: string) {
  const found = await violations(t.context, id);
  return found.map(({ invariant, evidence }) => [invariant, evidence.problem]);
}

test('I9 accepts a key that created its order, and one that changed it later', async (t) => {
  const id = await placedWithKey(t, {}, { method: 'PUT', status: 200, xact_id: '7' });

  t.deepEqual(await problems(t, id), []);
});

test('I9 finds a key whose order does not exist', async (t) => {
  const order_id = randomUUIDv7();
  await placedWithKey(t, { order_id });

  t.deepEqual(await problems(t, order_id), [['I9', "the key's order does not exist"]]);
});

test('I9 finds a key whose order belongs to another user', async (t) => {
  const id = await placedWithKey(t, { user_id: (await signUp(t.context)).id });

  t.deepEqual(await problems(t, id), [['I9', 'the order belongs to another user']]);
});

test('I9 finds two keys that created the same order', async (t) => {
  const id = await placedWithKey(t, {}, {});

  const problem = ['I9', 'two keys created the same order'];
  t.deepEqual(await problems(t, id), [problem, problem]);
});

test('I9 finds a key that was stored by another transaction than its order', async (t) => {
  const id = await placedWithKey(t, { xact_id: '7' });

  t.deepEqual(await problems(t, id), [['I9', 'key and order are from different transactions']]);
});

test('I9 finds a stored reply that names another order', async (t) => {
  const id = await placedWithKey(t, { stored_id: randomUUIDv7() });

  t.deepEqual(await problems(t, id), [['I9', 'the stored reply names another order']]);
});
