import { sql } from 'slonik';
import { ownService, signUp, test } from '../support/context.ts';
import {
  claimJob,
  connectDba,
  exhaustRetries,
  failOrder,
  recordRunningBatch,
  registerWorker,
} from '../support/dba.ts';
import { insertOrders } from '../support/orders.ts';

const ODD = 'Lager zu → müde\u001b[2J \u202e日本 👍';
const SHOWN = 'Lager zu \\u2192 m\\u00fcde\\u001b[2J \\u202e\\u65e5\\u672c \\U0001f44d';

test('all that schema ops shows is printable ASCII, even if reasons and errors have other characters', async (t) => {
  const service = await ownService(t);
  const { deps } = service;
  const user = await signUp(service);
  const ids = await insertOrders(deps, user.id, 5);
  const [cancelled = '', retried = '', waiting = '', dead = '', released = ''] = ids;
  const dba = await connectDba(t, service);
  await dba.rows('SELECT ops.cancel_order($1, $2)', [cancelled, ODD]);
  await failOrder(deps, retried, ODD);
  await dba.rows('SELECT ops.retry_order($1, $2)', [retried, ODD]);
  await dba.rows('SELECT ops.pause_queue($1, $2)', ['process-order', ODD]);
  await dba.rows('SELECT ops.resume_queue($1, $2)', ['process-order', ODD]);
  await dba.rows('SELECT ops.pause_queue($1, $2)', ['process-order', ODD]);
  await exhaustRetries(deps, dead, ODD);
  await recordRunningBatch(deps, await registerWorker(deps), waiting);
  const silent = await registerWorker(deps, { silentSeconds: 60 });
  await claimJob(deps, released);
  await recordRunningBatch(deps, silent, released);
  await deps.pool.query(sql.unsafe`UPDATE pgboss.instance SET host = ${ODD}`);
  await dba.rows('SELECT ops.release_worker($1, $2)', [silent, ODD]);
  const old = await connectDba(t, service, 'postgres');
  await old.rows(`SET client_encoding = 'WIN1252'`);

  const views = await old.rows(
    `SELECT oid::regclass::text AS name FROM pg_class
     WHERE relnamespace::regnamespace::text = 'ops' AND relkind = 'v' ORDER BY 1`,
  );
  const shown = [];
  for (const { name } of views) shown.push(await old.rows(`TABLE ${name}`));
  for (const id of ids) shown.push(await old.rows('SELECT ops.explain_job($1)', [id]));

  t.true(views.length > 8);
  for (const [at, rows] of shown.entries()) {
    for (const value of rows.flatMap((row) => texts(row))) {
      t.regex(value, /^[\n -~]*$/, views[at]?.name);
    }
  }
  const [action] = await old.rows(`SELECT reason FROM ops.actions WHERE action = 'cancel_order'`);
  t.is(action?.reason, SHOWN);
  const again = await old.refusal(`SELECT ops.pause_queue('process-order', 'again')`);
  t.true(again.message.endsWith(SHOWN), again.message);
});

test('definitions and comments of our functions and views are ASCII', async (t) => {
  const dba = await connectDba(t, t.context, 'postgres');

  const odd = await dba.rows(`
    SELECT p.oid::regprocedure::text AS name FROM pg_proc AS p
    WHERE p.pronamespace::regnamespace::text IN ('public', 'ops', 'audit') AND p.prosrc ~ '[^\\n -~]'
    UNION ALL
    SELECT c.oid::regclass::text FROM pg_class AS c
    WHERE c.relkind = 'v' AND c.relnamespace::regnamespace::text IN ('public', 'ops', 'audit')
      AND pg_get_viewdef(c.oid) ~ '[^\\n -~]'
    UNION ALL
    SELECT 'comment: ' || d.description FROM pg_description AS d WHERE d.description ~ '[^\\n -~]'
  `);

  t.deepEqual(odd, []);
});

/** All texts in a row, also those inside JSON. */
function texts(value: unknown): string[] {
  if (typeof value === 'string') return [value];
  if (typeof value !== 'object' || value === null) return [];
  return Object.values(value).flatMap((member) => texts(member));
}
