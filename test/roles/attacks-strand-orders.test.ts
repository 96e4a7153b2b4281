import type { ExecutionContext } from 'ava';
import type { Client } from 'pg';
import { prepare, testAttacks, type Attack } from '../support/attacks.ts';
import { signUp, test, type Context } from '../support/context.ts';
import { logIn } from '../support/logins.ts';
import { claimSql, failSql, USED_UP } from '../support/queue-rows.ts';

// A stolen login of the worker writes the rows of the queue. It cannot write rows that leave an order without a job or
// dead letter that a worker processes.

const BAD = 'OM008';
const NO_JOB = 'OM003';
const LOCK_TIMEOUT = '55P03'; // the other transaction has the lock
const SERIALIZATION = '40001'; // the other transaction has changed the row

const forged = (order: string, columns: string, values: string) =>
  `INSERT INTO pgboss.job (name, source_name, source_id, source_root_id, source_retry_count, ${columns})
   VALUES ('fail-order', 'process-order', '${order}', '${order}', 12, ${values});`;
const deleteJob = (id: string) => `DELETE FROM pgboss.job WHERE id = '${id}';`;

const stranding: Attack[] = [
  ...[
    ['has failed', 'data, state', `'{}', 'failed'`],
    [
      'has failed and has the data of the order',
      'data, state',
      `(SELECT data FROM order_data), 'failed'`,
    ],
    ['is blocked', 'data, blocked', `'{}', true`],
    ['waits and has no data', 'data', `'{}'`],
  ].map(([which = '', columns = '', values = '']): Attack => [
    `replace a job by a dead letter that ${which}`,
    (on) => {
      const data = `(SELECT data FROM pgboss.job WHERE id = '${on.order}')`;
      const own = values.replace('(SELECT data FROM order_data)', data);
      return `BEGIN; ${claimSql(on.order)} ${forged(on.order, columns, own)} ${deleteJob(on.order)} COMMIT`;
    },
    BAD,
  ]),
  ...Object.entries({
    'without its data': { data: `'{}'` },
    'that is blocked': { blocked: 'true' },
    'that has failed': { state: `'failed'` },
    'that is completed': { state: `'completed'` },
    'that never starts': { start_after: `'infinity'` },
    'with a higher priority': { priority: '100' },
    'of another order': { source_root_id: 'gen_random_uuid()' },
    'of another attempt': { source_retry_count: '7' },
  }).map(([which, letter]): Attack => [
    `fail a job with a dead letter ${which}`,
    (on) => `${claimSql(on.order)} ${failSql(on.order, USED_UP, letter, 1)}`,
    BAD,
  ]),
  [
    'fail a job as pg-boss does, but without a dead letter',
    (on) => `${claimSql(on.order)} ${failSql(on.order, USED_UP)}`,
    NO_JOB,
  ],
  [
    'fail a job with two dead letters',
    (on) => `${claimSql(on.order)} ${failSql(on.order, USED_UP, {}, 2)}`,
    NO_JOB,
  ],
  [
    'add a dead letter to a job that is retried',
    (on) => `${claimSql(on.order)} ${failSql(on.order, {}, {}, 1)}`,
    NO_JOB,
  ],
  [
    'set a dead letter to failed that has retries left',
    (on) =>
      `UPDATE pgboss.job SET state = 'failed', completed_on = now() WHERE id = '${on.letter}'`,
    NO_JOB,
  ],
  [
    'fail a dead letter as pg-boss does, although it has retries left',
    (on) => `${claimSql(on.letter)} ${failSql(on.letter, USED_UP)}`,
    NO_JOB,
  ],
  [
    'block a dead letter',
    (on) => `UPDATE pgboss.job_common SET blocked = true WHERE id = '${on.letter}'`,
    BAD,
  ],
];

testAttacks('the worker’s login', 'oms_worker', stranding);

for (const isolation of ['READ COMMITTED', 'REPEATABLE READ']) {
  for (const queue of ['process-order', 'fail-order']) {
    for (const ends of ['open', 'committed']) {
      test.serial(
        `two ${isolation} transactions cannot delete both job and dead letter of an order: ${queue} first, ${ends}`,
        async (t) => {
          const id = await withLetter(t);
          const [a, b] = [await logIn(t, 'oms_worker'), await logIn(t, 'oms_worker')];
          const otherQueue = queue === 'fail-order' ? 'process-order' : 'fail-order';
          for (const client of [a, b]) {
            await client.query('SET lock_timeout = 500');
            await client.query(
              `BEGIN ISOLATION LEVEL ${isolation}; SELECT id FROM pgboss.job LIMIT 1`,
            );
          }

          const first = await outcome(a, deletionFrom(queue, id));
          if (ends === 'committed') await a.query('COMMIT');
          const second = await outcome(b, deletionFrom(otherQueue, id));

          t.is(first, undefined);
          t.true([LOCK_TIMEOUT, SERIALIZATION, NO_JOB].includes(second ?? ''), second);
        },
      );
    }
  }
}

/** Places an order, and gives it a claimed job and a claimed dead letter as only a superuser can. */
async function withLetter(t: ExecutionContext<Context>): Promise<string> {
  const { admin } = await prepare(t);
  const id = await (await signUp(t.context)).place();
  await admin.query(claimSql(id));
  await admin.query(failSql(id, { state: `'active'`, heartbeat_on: 'd.heartbeat_on' }, {}, 1));
  await admin.query(
    `UPDATE pgboss.job SET state = 'active', started_on = now(), heartbeat_on = now() WHERE source_root_id = $1`,
    [id],
  );
  return id;
}

/** SQL that deletes the job or the dead letter of an order, and checks the constraints now. */
function deletionFrom(queue: string, order: string): string {
  return `DELETE FROM pgboss.job WHERE name = '${queue}' AND '${order}' IN (id, source_root_id);
    SET CONSTRAINTS ALL IMMEDIATE`;
}

/** Runs a statement. Returns the SQLSTATE of its error, or undefined. */
async function outcome(client: Client, text: string): Promise<string | undefined> {
  return client.query(text).then(
    () => undefined,
    (error: Error & { code?: string }) => error.code,
  );
}
