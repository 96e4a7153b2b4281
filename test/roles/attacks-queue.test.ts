import type { ExecutionContext } from 'ava';
import type { Client } from 'pg';
import { prepare, testAttacks, type Attack } from '../support/attacks.ts';
import { signUp, test, type Context } from '../support/context.ts';
import { logIn } from '../support/logins.ts';
import { claimJob as claim, failJob, sendJob, USED_UP } from '../support/queue-rows.ts';

// A stolen login of the worker writes the rows of the queue. It can write none that hides an order from the workers, or
// that stops the workers.

const BAD = 'OM008';
const NO_JOB = 'OM003';
const WAITS = '55P03'; // for the lock of the other transaction, until lock_timeout
const CHANGED = '40001'; // the other transaction has changed the row

const forged = (order: string, columns: string, values: string) =>
  `INSERT INTO pgboss.job (name, source_name, source_id, source_root_id, source_retry_count, ${columns})
   VALUES ('fail-order', 'process-order', '${order}', '${order}', 12, ${values});`;
const take = (id: string) => `DELETE FROM pgboss.job WHERE id = '${id}';`;
const set = (what: string, id: string) => `UPDATE pgboss.job SET ${what} WHERE id = '${id}'`;
const instance = (columns: string, values: string) =>
  `INSERT INTO pgboss.instance (id, host, pid, version, node_version, heartbeat_seconds, supervise, schedule, migrate,
     persist_queue_stats, persist_warnings, ${columns})
   VALUES (gen_random_uuid(), 'h', 1, '1', '1', 3, true, true, true, true, true, ${values})`;
const head = (number: string, from: string, to: string) =>
  `INSERT INTO audit_heads (number, from_xid, to_xid, events, digest)
   VALUES (${number}, ${from}, ${to}, 0, sha256(''))`;
const run = (id: string, at: string) =>
  `INSERT INTO audit_runs (${id && 'id, '}started_at, finished_at, to_xid, orders, violations, watched)
   ${id && 'OVERRIDING SYSTEM VALUE'} VALUES (${id && `${id}, `}${at}, now(), '7', 0, '{}', '{}')`;

const stranding: Attack[] = [
  ...[
    ['has failed', 'data, state', `'{}', 'failed'`],
    ['has failed, with the order’s data', 'data, state', `(SELECT data FROM order_data), 'failed'`],
    ['is blocked', 'data, blocked', `'{}', true`],
    ['waits', 'data', `'{}'`],
  ].map(([which = '', columns = '', values = '']): Attack => [
    `replace a job by a dead letter that ${which}`,
    (on) => {
      const data = `(SELECT data FROM pgboss.job WHERE id = '${on.order}')`;
      const own = values.replace('(SELECT data FROM order_data)', data);
      return `BEGIN; ${claim(on.order)} ${forged(on.order, columns, own)} ${take(on.order)} COMMIT`;
    },
    BAD,
  ]),
  ...Object.entries({
    'without its data': { data: `'{}'` },
    'that is blocked': { blocked: 'true' },
    'that has failed already': { state: `'failed'` },
    'that is done already': { state: `'completed'` },
    'that waits for ever': { start_after: `'infinity'` },
    'that goes before all others': { priority: '100' },
    'of another order': { source_root_id: 'gen_random_uuid()' },
    'of another attempt': { source_retry_count: '7' },
  }).map(([which, letter]): Attack => [
    `fail a job with a dead letter ${which}`,
    (on) => `${claim(on.order)} ${failJob(on.order, USED_UP, letter, 1)}`,
    BAD,
  ]),
  [
    'fail a job without a dead letter, in the way of pg-boss',
    (on) => `${claim(on.order)} ${failJob(on.order, USED_UP)}`,
    NO_JOB,
  ],
  [
    'fail a job with two dead letters',
    (on) => `${claim(on.order)} ${failJob(on.order, USED_UP, {}, 2)}`,
    NO_JOB,
  ],
  [
    'make a dead letter beside a job',
    (on) => `${claim(on.order)} ${failJob(on.order, {}, {}, 1)}`,
    NO_JOB,
  ],
  [
    'give up a dead letter that has tries left',
    (on) => set(`state = 'failed', completed_on = now()`, on.letter),
    NO_JOB,
  ],
  [
    'fail a dead letter for good that has tries left',
    (on) => `${claim(on.letter)} ${failJob(on.letter, USED_UP)}`,
    NO_JOB,
  ],
  [
    'block a dead letter',
    (on) => `UPDATE pgboss.job_common SET blocked = true WHERE id = '${on.letter}'`,
    BAD,
  ],
];

const stopping: Attack[] = [
  ...[
    `started_on = 'infinity'`,
    `heartbeat_on = 'infinity'`,
    `heartbeat_on = now() + interval '2 minutes'`,
    `started_on = '-infinity'`,
    `started_on = NULL`,
    `heartbeat_on = NULL`,
    'retry_count = 2147483647',
    'retry_count = retry_limit + 1',
    'retry_count = -1',
    `completed_on = '2000-01-01'`, // retention would fail on it
  ].map((what): Attack => [
    `have an active job with ${what}`,
    (on) => `BEGIN; ${claim(on.order)} ${set(what, on.order)}; COMMIT`,
    BAD,
  ]),
  [
    'have a waiting job with retry_count = 2147483647',
    (on) => set('retry_count = 2147483647', on.order),
    BAD,
  ],
  [
    'have a waiting job that retention deletes',
    (on) => set(`completed_on = '2000-01-01'`, on.order),
    BAD,
  ],
  ['start a job again that is over', (on) => set(`state = 'retry'`, on.done), BAD],
  ...Object.entries({
    retry_limit: '0',
    retry_count: '7',
    dead_letter: 'NULL',
    priority: '100',
    data: `'{}'`,
    blocked: 'true',
    expire_seconds: '2147483647',
    heartbeat_seconds: 'NULL',
    created_on: `'infinity'`,
    keep_until: `'2000-01-01'`,
    start_after: `'infinity'`,
    state: `'created'`,
  }).map(([column, value]): Attack => [
    `retry a job with another ${column}`,
    (on) => `${claim(on.order)} ${failJob(on.order, { [column]: value })}`,
    BAD,
  ]),
  [
    'make a job again as active, without retries, and long lost',
    (on) => `BEGIN; ${claim(on.order)} ${take(on.order)}
      INSERT INTO pgboss.job (id, name, data, state, retry_limit, started_on, heartbeat_on, heartbeat_seconds)
      SELECT o.id, 'process-order', jsonb_build_object('order_id', o.id, 'xact_id', o.xact_id::text), 'active', 0,
        '2000-01-01', '2000-01-01', 10
      FROM orders AS o WHERE o.id = '${on.order}'; COMMIT`,
    BAD,
  ],
  ...['process-order', 'fail-order'].map((queue): Attack => [
    `send a job to ${queue}`,
    sendJob(queue),
    BAD,
  ]),
  ...Object.entries({
    start_after: `'-infinity'`,
    created_on: `'2000-01-01'`,
    keep_until: `'infinity'`,
    priority: '1',
    retry_limit: '2147483647',
    retry_count: '2147483647',
    expire_seconds: '0',
    deletion_seconds: '2147483647',
    dead_letter: `'fail-order'`,
    state: `'active'`,
    blocked: 'true',
    source_id: 'gen_random_uuid()',
  }).map(([column, value]): Attack => [
    `send a job with another ${column}`,
    sendJob('sign-head', { [column]: value }),
    BAD,
  ]),
  ...['monitor_on', 'monitor_claim_on', 'maintain_on', 'retained_on', 'delta_on'].flatMap(
    (column) =>
      [`'infinity'`, `'-infinity'`, `now() + interval '2 minutes'`].map((at): Attack => [
        `set ${column} of a queue to ${at}`,
        `UPDATE pgboss.queue SET ${column} = ${at}`,
        BAD,
      ]),
  ),
  ...['total_count = 2147483647', 'retained_count = 2147483647', 'retained_count = -1'].map(
    (what): Attack => [`have a queue with ${what}`, `UPDATE pgboss.queue SET ${what}`, BAD],
  ),
  ...['cron_on', 'monitor_backoff_on'].map((column): Attack => [
    `set ${column} to infinity`,
    `UPDATE pgboss.version SET ${column} = 'infinity'`,
    BAD,
  ]),
  ['add a worker that lives for ever', instance('heartbeat_on', `'infinity'`), BAD],
  ['add a worker that started at no time', instance('started_on', `'-infinity'`), BAD],
  [
    'hold jobs since no time',
    `INSERT INTO running_batches VALUES (gen_random_uuid(), 'x', 'prune', '{}', '{}', '-infinity')`,
    BAD,
  ],
  ['add a head far ahead', head('2147483647', `'0'`, `'7'`), BAD],
  ['add a head that does not begin at the start', head('1', `'1'`, `'7'`), BAD],
  [
    'add a head over transactions that have not ended',
    head('1', `'0'`, `'9223372036854775807'`),
    BAD,
  ],
  ['add a run with a number of its choice', run('9223372036854775807', 'now()'), '42501'],
  ['add a run of no time', run('', `'infinity'`), BAD],
];

testAttacks('The worker’s login', 'oms_worker', [...stranding, ...stopping]);

test.serial('The jobs that these attacks start from are accepted', async (t) => {
  await prepare(t);
  const id = await (await signUp(t.context)).place();
  const client = await logIn(t, 'oms_worker');
  const accepted = (text: string) => t.notThrowsAsync(client.query(text), text);

  await accepted(sendJob('sign-head'));
  await accepted(`${claim(id)} ${failJob(id)}`);
  await accepted(`${claim(id)} ${failJob(id, USED_UP, {}, 1)}`);
  const { rows } = await client.query(
    `SELECT id FROM pgboss.job WHERE name = 'fail-order' AND source_root_id = '${id}'`,
  );
  await accepted(`${claim(rows[0]?.id)} ${failJob(rows[0]?.id)}`);
});

for (const isolation of ['READ COMMITTED', 'REPEATABLE READ']) {
  for (const first of ['process-order', 'fail-order']) {
    for (const ends of ['open', 'committed']) {
      test.serial(
        `Of a job and a dead letter, ${isolation} transactions take one; ${first} first, ${ends}`,
        async (t) => {
          const id = await withLetter(t);
          const [a, b] = [await logIn(t, 'oms_worker'), await logIn(t, 'oms_worker')];
          const second = first === 'fail-order' ? 'process-order' : 'fail-order';
          for (const client of [a, b]) {
            await client.query('SET lock_timeout = 500');
            await client.query(
              `BEGIN ISOLATION LEVEL ${isolation}; SELECT id FROM pgboss.job LIMIT 1`,
            );
          }

          const taken = await outcome(a, takeOf(first, id));
          if (ends === 'committed') await a.query('COMMIT');
          const refused = await outcome(b, takeOf(second, id));

          t.is(taken, undefined);
          t.true([WAITS, CHANGED, NO_JOB].includes(refused ?? ''), refused);
        },
      );
    }
  }
}

test.serial('ops.retry_order gives back a job whose times are infinite', async (t) => {
  const { admin } = await prepare(t);
  const id = await (await signUp(t.context)).place();
  await admin.query(
    `UPDATE pgboss.job SET state = 'active', started_on = 'infinity', heartbeat_on = 'infinity' WHERE id = $1`,
    [id],
  );

  await t.notThrowsAsync(admin.query('SELECT ops.explain_job($1)', [id]));
  await admin.query(`SELECT ops.retry_order($1, 'ticket 1')`, [id]);

  const { rows } = await admin.query('SELECT state::text FROM pgboss.job WHERE id = $1', [id]);
  t.deepEqual(rows, [{ state: 'retry' }]);
});

/** An order with a claimed job and a claimed dead letter, which only a superuser can make. */
async function withLetter(t: ExecutionContext<Context>): Promise<string> {
  const { admin } = await prepare(t);
  const id = await (await signUp(t.context)).place();
  await admin.query(claim(id));
  await admin.query(failJob(id, { state: `'active'`, heartbeat_on: 'd.heartbeat_on' }, {}, 1));
  await admin.query(
    `UPDATE pgboss.job SET state = 'active', started_on = now(), heartbeat_on = now() WHERE source_root_id = $1`,
    [id],
  );
  return id;
}

/** Deletes the job or the dead letter of an order, and checks at once. */
function takeOf(queue: string, order: string): string {
  return `DELETE FROM pgboss.job WHERE name = '${queue}' AND '${order}' IN (id, source_root_id);
    SET CONSTRAINTS ALL IMMEDIATE`;
}

/** The SQLSTATE of an error, or undefined. */
async function outcome(client: Client, text: string): Promise<string | undefined> {
  return client.query(text).then(
    () => undefined,
    (error: Error & { code?: string }) => error.code,
  );
}
