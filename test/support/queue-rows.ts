/*
 * Statements that write jobs as pg-boss 12.38 writes them, but for the named columns. Tests attack with them: a row
 * that differs in one column is refused because of that column.
 */

/** Values of columns, as SQL. */
type Columns = Record<string, string>;

const SETTINGS = `retry_limit, retry_delay, retry_backoff, expire_seconds, deletion_seconds, heartbeat_seconds`;
const JOB = `id, name, priority, data, retry_count, retry_delay_max, start_after, started_on, created_on, completed_on,
  keep_until, policy, dead_letter, blocked, pending_dependencies, source_name, source_id, source_created_on,
  source_retry_count, source_output, source_root_id, singleton_key, trace_context, ${SETTINGS}`;

/** Inserts a job of a queue, as pg-boss's send does. */
export function sendJob(queue: string, columns: Columns = {}): string {
  const own = {
    ...same('name, retry_delay_max, policy, dead_letter', 'q'),
    ...ofQueue,
    data: `'{}'`,
    ...columns,
  };
  return `${insert(own)} FROM pgboss.queue AS q WHERE q.name = '${queue}';`;
}

/** Fails a job, as pg-boss does: a DELETE and an INSERT in one statement, with `letters` dead letters. */
export function failJob(id: string, job: Columns = {}, letter: Columns = {}, letters = 0): string {
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

/** The columns of a job that has used up its tries, for failJob. */
export const USED_UP = { state: `'failed'`, completed_on: 'now()' };

/** Claims a job, as pg-boss's fetch does at its first attempt. */
export function claimJob(id: string): string {
  return `UPDATE pgboss.job SET state = 'active', started_on = now(), heartbeat_on = now() WHERE id = '${id}';`;
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
