import { prepare, testAttacks, type Attack } from '../support/attacks.ts';
import { signUp, test } from '../support/context.ts';
import { logIn } from '../support/logins.ts';
import { claimSql, failSql, sendSql, USED_UP } from '../support/queue-rows.ts';

// A stolen login of the worker writes the rows of the queue. It cannot write values that stop the workers, pg-boss's
// maintenance or the audit.

const BAD = 'OM008';

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
    `completed_on = '2000-01-01'`, // retention would try to delete the job, and COMMIT would refuse that
  ].map((what): Attack => [
    `have an active job with ${what}`,
    (on) => `BEGIN; ${claimSql(on.order)} ${set(what, on.order)}; COMMIT`,
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
  ['start a job again that has ended', (on) => set(`state = 'retry'`, on.done), BAD],
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
    (on) => `${claimSql(on.order)} ${failSql(on.order, { [column]: value })}`,
    BAD,
  ]),
  [
    'replace a job by an active one without retries, whose worker has been silent for years',
    (on) => `BEGIN; ${claimSql(on.order)} DELETE FROM pgboss.job WHERE id = '${on.order}';
      INSERT INTO pgboss.job (id, name, data, state, retry_limit, started_on, heartbeat_on, heartbeat_seconds)
      SELECT o.id, 'process-order', jsonb_build_object('order_id', o.id, 'xact_id', o.xact_id::text), 'active', 0,
        '2000-01-01', '2000-01-01', 10
      FROM orders AS o WHERE o.id = '${on.order}'; COMMIT`,
    BAD,
  ],
  ...['process-order', 'fail-order'].map((queue): Attack => [
    `send a job to ${queue}`,
    sendSql(queue),
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
    sendSql('sign-head', { [column]: value }),
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
  ['add a worker with an infinite heartbeat', instance('heartbeat_on', `'infinity'`), BAD],
  ['add a worker with an infinite start', instance('started_on', `'-infinity'`), BAD],
  [
    'record a running batch with an infinite start',
    `INSERT INTO running_batches VALUES (gen_random_uuid(), 'x', 'prune', '{}', '{}', '-infinity')`,
    BAD,
  ],
  ['add a head with a number far ahead', head('2147483647', `'0'`, `'7'`), BAD],
  ['add a first head that begins late', head('1', `'1'`, `'7'`), BAD],
  [
    'add a head over transactions that have not ended',
    head('1', `'0'`, `'9223372036854775807'`),
    BAD,
  ],
  ['choose the number of a run', run('9223372036854775807', 'now()'), '42501'],
  ['add a run with an infinite start', run('', `'infinity'`), BAD],
];

testAttacks('the worker’s login', 'oms_worker', stopping);

test.serial('the worker’s login can write the same rows with correct values', async (t) => {
  await prepare(t);
  const id = await (await signUp(t.context)).place();
  const client = await logIn(t, 'oms_worker');
  const accepted = (text: string) => t.notThrowsAsync(client.query(text), text);

  await accepted(sendSql('sign-head'));
  await accepted(`${claimSql(id)} ${failSql(id)}`);
  await accepted(`${claimSql(id)} ${failSql(id, USED_UP, {}, 1)}`);
  const { rows } = await client.query(
    `SELECT id FROM pgboss.job WHERE name = 'fail-order' AND source_root_id = '${id}'`,
  );
  await accepted(`${claimSql(rows[0]?.id)} ${failSql(rows[0]?.id)}`);
});

test.serial('an operator can retry an order whose job has infinite times', async (t) => {
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
