import { randomUUID } from 'node:crypto';
import { signUp, test } from '../../test/support/context.ts';
import { connectDba } from '../../test/support/dba.ts';

const DENIED = '42501';

test('a worker cannot change the table name of a queue', async (t) => {
  const { refusal } = await connectDba(t, t.context, 'oms_worker');

  const { code } = await refusal(`UPDATE pgboss.queue SET table_name = table_name`);

  t.is(code, DENIED);
});

test('the API cannot insert orders', async (t) => {
  const user = await signUp(t.context);
  const { refusal } = await connectDba(t, t.context, 'oms_api');

  const { code, message } = await refusal(
    `INSERT INTO orders (id, user_id, product_name, amount) VALUES ($1, $2, 'Kettle', 1)`,
    [randomUUID(), user.id],
  );

  t.is(code, DENIED);
  // Not the refusal of a table that a trigger reads.
  t.is(message, 'permission denied for table orders');
});

test('a worker cannot update the table orders', async (t) => {
  const { refusal } = await connectDba(t, t.context, 'oms_worker');

  t.is((await refusal(`UPDATE orders SET status = 'COMPLETED'`)).code, DENIED);
});

test('every door function has a pinned search_path and an owner that owns no table of schema public', async (t) => {
  const { rows } = await connectDba(t, t.context, 'postgres');

  const doors = await rows(`
    SELECT p.proname AS door,
      p.proconfig::text ~ 'search_path=' AS pinned,
      NOT EXISTS (SELECT FROM pg_class AS c WHERE c.relowner = p.proowner AND c.relnamespace = 'public'::regnamespace)
        AS owner_is_safe
    FROM pg_proc AS p
    WHERE p.prosecdef AND p.pronamespace::regnamespace::text IN ('public', 'ops', 'audit')`);

  t.true(doors.length > 10);
  t.deepEqual(
    doors.filter(({ pinned, owner_is_safe }) => !pinned || !owner_is_safe),
    [],
  );
});

test('the API cannot call a door function of the worker', async (t) => {
  const { refusal } = await connectDba(t, t.context, 'oms_api');

  t.is((await refusal(`SELECT order_ids FROM process_orders(1, 'host:1')`)).code, DENIED);
});
