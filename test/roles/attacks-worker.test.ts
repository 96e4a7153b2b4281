import { testAttacks, testNothingElse, DENIED, type Attack } from '../support/attacks.ts';
import { commonAttacks } from '../support/common-attacks.ts';
import { claimSql } from '../support/queue-rows.ts';

// A stolen login of the worker can complete and fail orders, under the name of any worker. It cannot strand an order,
// act under another name, or leave objects that break the views of other roles. More attacks of this login:
// attacks-worker-orders.test.ts on the functions that change orders, attacks-strand-orders.test.ts and
// attacks-stop-workers.test.ts on the rows of the queue.

const ORDERS = 'pgboss.j926fb04c4ab3cbee69d4595a350e63c2f9d66f1b28f93ba48011350b';
const NO_JOB = 'OM003';

testNothingElse('the worker’s login', 'oms_worker', {
  // The tables of pg-boss, and the worker's own records. pg-boss retries a job by a DELETE and an INSERT.
  writes: [
    'pgboss.job',
    'pgboss.job_common',
    ORDERS,
    'pgboss.job_dependency',
    'pgboss.instance',
    'pgboss.queue',
    'pgboss.queue_stats',
    'pgboss.schedule',
    'pgboss.version',
    'pgboss.warning',
    'audit_heads',
    'audit_runs',
    'running_batches',
  ],
  calls: [
    'public.process_orders',
    'public.complete_orders',
    'public.take_orders',
    'public.settle_orders',
    'public.fail_orders',
    'public.postpone_jobs',
    'public.prune_idempotency_keys',
    'public.prune_refresh_tokens',
    'public.prune_attempts',
    'public.prepare_queue_stats',
    'public.order_content_hash_v1',
    'public.order_event_hash_v1',
    'pgboss.job_now',
    'public.leave_mark',
    'public.repair_future_times',
    'ops.backlog',
    'audit.bound_on_progress',
    'audit.events_digest',
  ],
});

const jobs: Attack[] = [
  [
    'delete the job of an open order',
    `DELETE FROM pgboss.job WHERE name = 'process-order' AND state < 'active'`,
  ],
  [
    'delete the job of an open order from the table of its queue',
    `DELETE FROM ${ORDERS} WHERE state < 'active'`,
  ],
  [
    'delete a job that it has claimed',
    (on) => `${claimSql(on.order)} DELETE FROM pgboss.job WHERE id = '${on.order}'`,
    NO_JOB,
  ],
  [
    'delete a job after the constraints have been checked early',
    (on) => `BEGIN; SET CONSTRAINTS ALL IMMEDIATE; ${claimSql(on.order)}
    SET CONSTRAINTS ALL DEFERRED; DELETE FROM pgboss.job WHERE id = '${on.order}'; COMMIT`,
    NO_JOB,
  ],
  [
    'complete a job without its order',
    (on) => `UPDATE pgboss.job SET state = 'completed' WHERE id = '${on.order}'`,
    NO_JOB,
  ],
  [
    'cancel a job without its order',
    (on) => `UPDATE pgboss.job SET state = 'cancelled' WHERE id = '${on.order}'`,
    NO_JOB,
  ],
  [
    'fail a job without a dead letter',
    (on) => `UPDATE pgboss.job SET state = 'failed' WHERE id = '${on.order}'`,
    NO_JOB,
  ],
  [
    'put a job into another queue',
    (on) => `UPDATE pgboss.job SET name = 'prune' WHERE id = '${on.order}'`,
    DENIED,
  ],
  ['block a job', (on) => `UPDATE pgboss.job SET blocked = true WHERE id = '${on.order}'`, DENIED],
  ['change the data of a job', `UPDATE pgboss.job SET data = '{}'`, DENIED],
];

const deadLetters: Attack[] = [
  ['delete a dead letter', `DELETE FROM pgboss.job WHERE name = 'fail-order'`],
  [
    'delete a dead letter that it has claimed',
    (on) => `${claimSql(on.letter)}
    DELETE FROM pgboss.job WHERE id = '${on.letter}'`,
    NO_JOB,
  ],
  [
    'delete a dead letter after it has failed it',
    (on) => `BEGIN; UPDATE pgboss.job SET state = 'failed' WHERE id = '${on.letter}';
    DELETE FROM pgboss.job WHERE id = '${on.letter}'; DO $$ BEGIN ASSERT EXISTS (
      SELECT FROM pgboss.job WHERE id = '${on.letter}'); END $$; ROLLBACK`,
  ],
  [
    'complete a dead letter without its order',
    (on) => `UPDATE pgboss.job SET state = 'completed' WHERE id = '${on.letter}'`,
    NO_JOB,
  ],
];

const definitions: Attack[] = [
  ['change the schema version', 'UPDATE pgboss.version SET version = 1', DENIED],
  ['change the settings of a queue', 'UPDATE pgboss.queue SET retry_limit = 0', DENIED],
  ['change a schedule', `UPDATE pgboss.schedule SET cron = '* * * * *'`, DENIED],
  [
    'create a trigger on statistics',
    'CREATE TRIGGER mine BEFORE INSERT ON pgboss.queue_stats EXECUTE FUNCTION order_jobs_keep()',
    DENIED,
  ],
  ['create a row policy on statistics', 'CREATE POLICY mine ON pgboss.queue_stats', DENIED],
  [
    'create a partition of statistics',
    'CREATE TABLE pgboss.mine PARTITION OF pgboss.queue_stats DEFAULT',
    DENIED,
  ],
  ['resume a paused queue', 'DELETE FROM paused_queues', DENIED],
  ['change a head of the trail', `UPDATE audit_heads SET digest = ''`, DENIED],
  ['read the content of orders', 'SELECT product_name FROM orders', DENIED],
];

testAttacks('the worker’s login', 'oms_worker', [
  ...jobs,
  ...deadLetters,
  ...definitions,
  ...commonAttacks('oms_worker'),
]);
