import type { ExecutionContext } from 'ava';
import { signUp, test, type Context } from '../support/context.ts';
import {
  connectDba,
  failOrder,
  exhaustRetries,
  recordRunningBatch,
  registerWorker,
  claimJob,
} from '../support/dba.ts';
import { eventsOf } from '../support/orders.ts';

// The door functions with arguments that our own code never passes.

const LONG = 'x'.repeat(5_000_000);

test('a worker can postpone an attempt by at most an hour, and cannot make it earlier', async (t) => {
  for (const [seconds, expected] of [
    [null, 'unchanged'],
    [-2_147_483_648, 'unchanged'],
    [0, 'unchanged'],
    [600, '00:10:00'],
    [2_147_483_647, '01:00:00'],
  ] as const) {
    const id = await failedOnce(t);
    const { rows, value } = await connectDba(t, t.context, 'postgres');
    const startAfter = 'SELECT start_after FROM order_jobs WHERE id = $1';
    const before = await value(startAfter, [id]);

    await rows('BEGIN');
    await rows('SELECT postpone_jobs($1)', [JSON.stringify([{ id, retry_count: 0, seconds }])]);
    const delay = await value(
      `SELECT date_trunc('second', start_after - pgboss.job_now() + interval '0.5 s')::text
       FROM order_jobs WHERE id = $1`,
      [id],
    );
    const after = await value(startAfter, [id]);
    await rows('COMMIT');

    t.true(after >= before, String(seconds));
    t.is(after.getTime() === before.getTime() ? 'unchanged' : delay, expected);
  }
});

test('a long reason of a worker is cut to its first 1,000 characters', async (t) => {
  const { deps } = t.context;
  const dba = await connectDba(t, t.context, 'postgres');
  const id = await (await signUp(t.context)).place();
  await claimJob(deps, id);
  const claim = await dba.value(
    `SELECT jsonb_build_object('id', id, 'retry_count', retry_count, 'data', data) FROM order_jobs WHERE id = $1`,
    [id],
  );
  const given = await (await signUp(t.context)).place();
  const letter = await exhaustRetries(deps, given);
  await claimJob(deps, letter, 'fail-order');

  await dba.rows(`SELECT settle_orders($1, 'host:1', 1000)`, [
    JSON.stringify([{ ...claim, status: 'FAILED', reason: LONG }]),
  ]);
  await dba.rows(`SELECT fail_orders($1, 'host:1', 1000)`, [
    JSON.stringify([{ id: letter, retry_count: 0, order_id: given, reason: LONG }]),
  ]);

  t.is((await eventsOf(deps, id)).at(-1)?.reason, 'x'.repeat(1000));
  t.is((await eventsOf(deps, given)).at(-1)?.reason, 'x'.repeat(1000));
});

test('a long worker name is refused, and the message does not contain all of it', async (t) => {
  const { refusal } = await connectDba(t, t.context, 'postgres');

  const { code, message } = await refusal('SELECT worker_actor($1)', [`${LONG}:1`]);

  t.is(code, 'OM008');
  t.true(message.length < 500);
});

test('when the limit of a last error falls within an emoji, the error is recorded without the emoji', async (t) => {
  const { deps } = t.context;
  const id = await (await signUp(t.context)).place();

  await failOrder(deps, id, `${'x'.repeat(299)}🎁`);

  t.regex((await eventsOf(deps, id)).at(-1)?.reason ?? '', /^Gave up after 1 attempt: x{299}$/);
});

for (const [what, call] of [
  ['retry_order', 'SELECT ops.retry_order($2, $1)'],
  ['cancel_order', 'SELECT ops.cancel_order($2, $1)'],
  ['redrive', `SELECT * FROM ops.redrive('process-order', 100, false, $1) WHERE job_id = $2`],
  ['pause_queue', `SELECT ops.pause_queue('process-order', $1) WHERE $2 <> ''`],
  ['resume_queue', `SELECT ops.resume_queue('process-order', $1) WHERE $2 <> ''`],
  ['release_worker', 'SELECT ops.release_worker($3, $1) WHERE $2 <> $3'],
] as const) {
  test.serial(`ops.${what} refuses a reason that is too long`, async (t) => {
    const { deps } = t.context;
    const id = await failedOnce(t);
    const worker = await registerWorker(deps, { silentSeconds: 60 });
    if (what === 'release_worker') await claimJob(deps, id);
    await recordRunningBatch(deps, worker, id, 2);
    const { rows, refusal } = await connectDba(t);
    const values = (reason: string) => [reason, id, ...(call.includes('$3') ? [worker] : [])];
    await rows('BEGIN');
    if (what === 'resume_queue') await rows(`SELECT ops.pause_queue('process-order', 'why')`);
    await rows('SAVEPOINT before');

    const { code } = await refusal(call, values('x'.repeat(1001)));

    t.is(code, 'OM008');
    await rows('ROLLBACK TO before');
    await t.notThrowsAsync(rows(call, values('x'.repeat(1000))));
    await rows('ROLLBACK');
  });
}

for (const [table, constraint, statement] of [
  [
    'orders.change_reason',
    'trail_reason_ck',
    `UPDATE orders SET change_reason = repeat('x', 1001)`,
  ],
  ['orders.changed_by', 'trail_actor_ck', `UPDATE orders SET changed_by = repeat('x', 301)`],
  [
    'operator_actions.reason',
    'trail_reason_ck',
    `INSERT INTO operator_actions (action, queue, reason, before, after)
     VALUES ('redrive', 'x', repeat('x', 1001), '{}', '{}')`,
  ],
  [
    'audit_heads.signature',
    'audit_heads_signature_ck',
    `INSERT INTO audit_heads (number, from_xid, to_xid, events, digest, key_id, signature)
     VALUES (1, '1', '2', 0, sha256(''), 'k', repeat('x', 101))`,
  ],
  [
    'audit_heads.key_id',
    'audit_heads_key_id_ck',
    `INSERT INTO audit_heads (number, from_xid, to_xid, events, digest, key_id, signature)
     VALUES (1, '1', '2', 0, sha256(''), repeat('x', 101), 's')`,
  ],
] as const) {
  test(`a constraint limits the length of ${table}, also for a superuser`, async (t) => {
    await (await signUp(t.context)).place();
    const { rows } = await connectDba(t, t.context, 'postgres');
    await rows('SET session_replication_role = replica'); // without triggers, so only the constraint refuses

    const error = await t.throwsAsync<Error & { constraint?: string }>(rows(statement));

    t.is(error?.constraint, constraint);
  });
}

test('the batch size for pruning expired keys is limited', async (t) => {
  const { refusal } = await connectDba(t, t.context, 'postgres');

  for (const size of [null, 0, -1, 100_001]) {
    t.is((await refusal('SELECT prune_idempotency_keys($1)', [size])).code, 'OM008');
  }
});

/** Places an order whose first attempt fails. Returns its id. */
async function failedOnce(t: ExecutionContext<Context>): Promise<string> {
  const { deps } = t.context;
  const id = await (await signUp(t.context)).place();
  await claimJob(deps, id);
  await deps.boss.fail('process-order', id, { message: 'not now' });
  return id;
}
