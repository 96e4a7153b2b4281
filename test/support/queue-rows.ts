/*
 * SQL that writes jobs exactly as pg-boss 12.38 does, except for the columns that the caller names. When the database
 * refuses a row that differs in one column, it refuses it because of that column.
 */

/** Values of columns, as SQL. */
type Columns = Record<string, string>;

const SETTINGS = `retry_limit, retry_delay, retry_backoff, expire_seconds, deletion_seconds, heartbeat_seconds`;
const JOB = `id, name, priority, data, retry_count, retry_delay_max, start_after, started_on, created_on, completed_on,
  keep_until, policy, dead_letter, blocked, pending_dependencies, source_name, source_id, source_created_on,
  source_retry_count, source_output, source_root_id, singleton_key, trace_context, ${SETTINGS}`;

/** SQL that inserts a job into a queue, as pg-boss's send does. */
export function sendSql(queue: string, columns: Columns = {}): string {
  const own = {
    ...same('name, retry_delay_max, policy, dead_letter', 'q'),
    ...ofQueue,
    data: `'{}'`,
    ...columns,
  };
  return `${insert(own)} FROM pgboss.queue AS q WHERE q.name = '${queue}';`;
}

/**
 * SQL that fails a job as pg-boss does, by a DELETE and an INSERT in one statement. It makes `letters` dead letters.
 */
export function failSql(id: string, job: Columns = {}, letter: Columns = {}, letters = 0): string {
  const again = { ...same(JOB, 'd'), state: `'retry'`, heartbeat_on: 'NULL', ...job };
  const dead = {
    ...ofQueue,
    ...same('data, priority', 'd'),
    name: 'd.dead_letter',
    source_name: 'd.name',
    source_id: 'd.id',
    source_created_on: 'd.created_on',
    source_retry_count: 'd.retry_count',
    source_root_id: 'd.id',
    ...letter,
  };
  return `WITH d AS (DELETE FROM pgboss.job WHERE id = '${id}' RETURNING *),
    again AS (${insert(again)} FROM d)
    ${insert(dead)} FROM d JOIN pgboss.queue AS q ON q.name = d.dead_letter, generate_series(1, ${letters});`;
}

/** For failSql: the columns of a job without retries left. */
export const USED_UP = { state: `'failed'`, completed_on: 'now()' };

/** SQL that claims a job for its first attempt, as pg-boss's fetch does. */
export function claimSql(id: string): string {
  return `UPDATE pgboss.job SET state = 'active', started_on = now(), heartbeat_on = now() WHERE id = '${id}';`;
}

/** SQL that sets an order to FAILED as a worker does, with the dead letters that the queue has for it. */
export function failOrderSql(order: string): string {
  return `SELECT fail_orders((
    SELECT jsonb_agg(jsonb_build_object('id', id, 'retry_count', retry_count, 'order_id', source_root_id))
    FROM pgboss.job WHERE name = 'fail-order' AND source_root_id = '${order}'), 'a:1', 1000);`;
}

const ofQueue = {
  ...same(SETTINGS, 'q'),
  start_after: 'now()',
  created_on: 'now()',
  keep_until: `now() + q.retention_seconds * interval '1 second'`,
};

function same(names: string, from: string): Columns {
  return Object.fromEntries(names.split(/,\s+/).map((name) => [name, `${from}.${name}`]));
}

function insert(columns: Columns): string {
  const [names, values] = [Object.keys(columns), Object.values(columns)];
  return `INSERT INTO pgboss.job (${names.join(', ')}) SELECT ${values.join(', ')}`;
}
