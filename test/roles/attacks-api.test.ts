import { randomUUIDv7 } from 'node:crypto';
import { prepare, testAttacks, testNothingElse, type Attack } from '../support/attacks.ts';
import { commonAttacks } from '../support/common-attacks.ts';
import { test } from '../support/context.ts';
import { contents, logIn } from '../support/logins.ts';

// A stolen login of the API can act for every customer: it places and cancels orders in their names, as the API does.
// It cannot act as a worker or a DBA, change the content of orders or records, or read secrets.

testNothingElse('the API’s login', 'oms_api', {
  calls: [
    'public.place_orders',
    'public.reason_code',
    'public.cancel_order',
    'public.register_user',
    'public.password_salt',
    'public.log_in',
    'public.count_attempt',
    'public.refresh_session',
    'public.end_session',
    'public.change_password',
    'public.use_password_reset',
    'public.end_all_sessions',
    'public.end_own_session',
    'public.list_sessions',
    'public.live_sessions',
    'public.find_user',
    'public.leave_mark',
    'ops.backlog',
  ],
});

const place = (order: string, ttl: number | null = null) =>
  `SELECT * FROM place_orders(jsonb_build_array(${order}), 1000, ${ttl})`;
const order = (user: string, members = '{}') =>
  `jsonb_build_object('id', gen_random_uuid(), 'user_id', '${user}', 'product_name', 'Kettle', 'amount', '34.90',
    'currency', 'USD', 'metadata', '{}'::jsonb) || '${members}'`;
const keyed = (user: string, members = '{}') =>
  `${order(user)} || jsonb_build_object('method', 'POST', 'path', '/orders', 'key', 'new', 'fingerprint',
    repeat('00', 32)) || '${members}'`;
const cancel = (id: string, user: string, method: string, key: string | null = null) =>
  `SELECT * FROM cancel_order('${id}', '${user}', '${method}', '/orders', ${key}, sha256('x'), 24)`;

const NOT_NULL = '23502';
const UNIQUE = '23505';
const CHECK = '23514';
const BAD = 'OM008';

const attacks: Attack[] = [
  [
    'fail an order under the name of a worker',
    (
      on,
    ) => `BEGIN; SET LOCAL oms.actor = 'worker:a:1'; SET LOCAL oms.via = 'worker'; SET LOCAL oms.attempts = '1';
      UPDATE orders SET status = 'FAILED' WHERE id = '${on.order}'; COMMIT`,
    '42501',
  ],
  ['send a job', `INSERT INTO pgboss.job (name, data) VALUES ('fail-order', '{}')`, '42501'],
  ['backdate an order', `UPDATE orders SET created_at = '2001-01-01'`, '42501'],
  ['change a stored reply', `UPDATE idempotency_keys SET body = '{}'`, '42501'],
  ['change the registry of workers', `UPDATE pgboss.instance SET workers = '[]'`, '42501'],
  ['lock orders', 'SELECT id FROM orders FOR UPDATE', '42501'],
  ['read who changed orders', 'SELECT changed_by FROM orders', '42501'],
  ['read the actions of operators', 'SELECT reason FROM ops.actions', '42501'],
  ['read the audit', 'SELECT order_id FROM audit.violations', '42501'],
  ['read jobs', 'SELECT data FROM pgboss.job', '42501'],
  ['place an order of NaN', (on) => place(order(on.user, '{"amount": "NaN"}')), CHECK],
  ['place an order of infinity', (on) => place(order(on.user, '{"amount": "Infinity"}')), CHECK],
  ['place an order of a negative amount', (on) => place(order(on.user, '{"amount": "-1"}')), CHECK],
  [
    'place an order of too large an amount',
    (on) => place(order(on.user, '{"amount": "1e12"}')),
    CHECK,
  ],
  ['place an order without an amount', (on) => place(order(on.user, '{"amount": null}')), NOT_NULL],
  [
    'place an order of an amount with too many decimals',
    (on) => place(order(on.user, '{"amount": "0.00001"}')),
    CHECK,
  ],
  [
    'place an order of a blank product',
    (on) => place(order(on.user, '{"product_name": "\\t"}')),
    CHECK,
  ],
  [
    'place an order with an array as metadata',
    (on) => place(order(on.user, '{"metadata": [1]}')),
    CHECK,
  ],
  [
    'place an order in an invalid currency',
    (on) => place(order(on.user, '{"currency": "usd"}')),
    CHECK,
  ],
  ['place an order without an id', (on) => place(order(on.user, '{"id": null}')), NOT_NULL],
  ['place an order of an unknown user', () => place(order(randomUUIDv7())), '23503'],
  [
    'place an order under the id of another',
    (on) => place(order(on.user, `{"id": "${on.order}"}`)),
    UNIQUE,
  ],
  [
    'place two orders with one id',
    (on) => {
      const twice = order(on.user, `{"id": "${randomUUIDv7()}"}`);
      return place(`${twice}, ${twice}`);
    },
    UNIQUE,
  ],
  ['place a batch that is not an array', `SELECT * FROM place_orders('7', 1000, NULL)`, '22023'],
  ['place a batch that is NULL', 'SELECT * FROM place_orders(NULL, NULL, NULL)'],
  ['store a reply for a hundred years', (on) => place(keyed(on.user), 1_000_000), BAD],
  ['store a reply for ever', (on) => place(keyed(on.user), 2_147_483_647), BAD],
  ['store a reply that has expired', (on) => place(keyed(on.user), -1), BAD],
  [
    'store the reply to a POST while cancelling an order',
    (on) => cancel(on.order, on.user, 'POST', `'k'`),
    BAD,
  ],
  [
    'place an order twice under one key by writing its id in upper case',
    (on) => {
      const again = keyed(on.user, `{"id": "${randomUUIDv7().toUpperCase()}", "key": "known"}`);
      return `SELECT * FROM place_orders(jsonb_build_array(${again}), 1000, 24)`;
    },
  ],
  ['cancel the order of another user', (on) => cancel(on.other, on.user, 'PUT')],
  ['cancel an order that is completed', (on) => cancel(on.done, on.user, 'PUT')],
  [
    'cancel an order with NULL for every argument',
    `SELECT * FROM cancel_order(NULL, NULL, NULL, NULL, NULL, NULL, NULL)`,
  ],
  ...commonAttacks('oms_api'),
];

testAttacks('the API’s login', 'oms_api', attacks);

test.serial('members that the API’s login adds to an order are not stored', async (t) => {
  const { admin, targets } = await prepare(t);
  const client = await logIn(t, 'oms_api');
  const id = randomUUIDv7();
  const said = {
    id,
    status: 'COMPLETED',
    version: 7,
    changed_by: 'worker:a:1',
    change_reason: 'x',
    xact_id: '1',
    created_at: '2001-01-01T00:00:00Z',
    updated_at: '2001-01-01T00:00:00Z',
  };

  await client.query(`SET oms.actor = 'worker:a:1'`);
  await client.query(place(order(targets.user, JSON.stringify(said))));

  const { rows } = await admin.query(
    `SELECT o.status, o.version, o.changed_by, o.change_reason, o.created_at > now() - interval '1 minute' AS fresh,
       e.actor, o.xact_id = e.xact_id AND o.xact_id::text <> '1' AS true_xact
     FROM orders AS o JOIN order_events AS e ON e.order_id = o.id WHERE o.id = $1`,
    [id],
  );
  t.deepEqual(rows, [
    {
      status: 'PENDING',
      version: 1,
      changed_by: null,
      change_reason: null,
      fresh: true,
      actor: `user:${targets.user}`,
      true_xact: true,
    },
  ]);
});

// Postgres cannot forbid a login the following actions. Their effect ends with the session, or stops the service of the
// login until migrate removes the settings (role-settings.test.ts) and sets the password again. None loses an order
// (durable-commits.test.ts).

test.serial(
  'the API’s login can change its own settings and password, which can stop the API',
  async (t) => {
    const client = await logIn(t, 'oms_api');
    await client.query('BEGIN');

    await t.notThrowsAsync(client.query(`ALTER ROLE oms_api SET statement_timeout = '1ms'`));
    await t.notThrowsAsync(client.query(`ALTER ROLE oms_api PASSWORD 'mine'`));

    await client.query('ROLLBACK');
  },
);

test.serial(
  'while another login has the lock of a key, the key is in use, and its order is not placed',
  async (t) => {
    const { admin, targets } = await prepare(t);
    const before = await contents(admin);
    const [thief, api] = [await logIn(t, 'oms_auditor'), await logIn(t, 'oms_api')];
    await thief.query(
      `SELECT pg_advisory_lock(hashtextextended(concat_ws(' ', $1::text, 'POST', '/orders', 'new'), 20261127))`,
      [targets.user],
    );

    const { rows } = await api.query(place(keyed(targets.user), 24));

    t.is(rows[0]?.placed, 0);
    t.is(rows[0]?.keyed[0].outcome, 'in-use');
    t.deepEqual(await contents(admin), before);
  },
);
