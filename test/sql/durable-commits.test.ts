import { randomBytes, randomUUIDv7 } from 'node:crypto';
import { Client } from 'pg';
import { test } from '../support/context.ts';
import { loginUrl } from '../support/logins.ts';
import { connect, migratedDatabase } from '../support/migrating.ts';

const place = (
  user: string,
) => `SELECT placed FROM place_orders(jsonb_build_array(jsonb_build_object(
  'id', '${randomUUIDv7()}', 'user_id', '${user}', 'product_name', 'Kettle', 'amount', '34.90', 'currency', 'USD',
  'metadata', '{}'::jsonb)), 1000, NULL)`;

/** The writes that a service acknowledges to its clients, and the login that makes each. */
const writes = {
  'an order is placed': ['oms_api', place],
  'an order is cancelled': [
    'oms_api',
    (user: string) =>
      `SELECT * FROM cancel_order((SELECT id FROM orders LIMIT 1), '${user}', 'PUT', '/orders', NULL, sha256('x'), 24)`,
  ],
  'orders are processed': [
    'oms_worker',
    () => `SELECT order_ids FROM process_orders(9, 'a-worker:1')`,
  ],
  'an account is created': [
    'oms_api',
    () => {
      const hash = `$argon2id$v=19$m=19456,t=2,p=1$${'a'.repeat(22)}$${'b'.repeat(43)}`;
      const email = `${randomBytes(6).toString('hex')}@example.test`;
      return `SELECT register_user('${randomUUIDv7()}', 'Ada', '${email}', '${hash}')`;
    },
  ],
  'a head is stored': [
    'oms_worker',
    () =>
      `INSERT INTO audit_heads (number, from_xid, to_xid, events, digest) VALUES (1, '0', '9', 0, sha256(''))`,
  ],
  'sessions are ended': ['oms_api', (user: string) => `SELECT end_all_sessions('${user}')`],
} as const;

const settings = [
  ['weaker for the role', 'ROLE', 'off', 'on'],
  ['local for the role', 'ROLE', 'local', 'on'],
  ['stronger for the role', 'ROLE', 'remote_apply', 'remote_apply'],
  ['off for the database', 'DATABASE', 'off', 'on'],
  ['local for the database', 'DATABASE', 'local', 'on'],
  ['stronger for the database', 'DATABASE', 'remote_apply', 'remote_apply'],
] as const;

for (const [what, target, value, expected] of settings) {
  test(`when synchronous_commit is ${what}, acknowledged writes are committed with ${expected}`, async (t) => {
    const { database, client } = await migratedDatabase(t);
    const user = await signUpAndPlace(client);
    for (const [write, [role, statement]] of Object.entries(writes)) {
      const of =
        target === 'ROLE' ? `ROLE ${role} IN DATABASE ${database}` : `DATABASE ${database}`;
      await client.query(`ALTER ${of} SET synchronous_commit = ${value}`);
      const service = await connect(t, loginUrl(role, database));

      await service.query('BEGIN');
      await service.query(statement(user));

      t.is(await setting(service), expected, write);
      await service.query('COMMIT');
      t.is(await setting(service), value, `${write}: other transactions keep the setting`);
    }
  });
}

test('a commit is durable even if another client of a pooled connection has changed its settings', async (t) => {
  const { database, client } = await migratedDatabase(t);
  const user = await signUpAndPlace(client);
  const shared = await connect(t, loginUrl('oms_api', database));
  await shared.query('SET synchronous_commit = off');

  await shared.query('BEGIN');
  await shared.query(place(user));

  t.is(await setting(shared), 'on');
  await shared.query('COMMIT');
});

async function setting(client: Client): Promise<string> {
  const { rows } = await client.query<{ value: string }>(
    `SELECT current_setting('synchronous_commit') AS value`,
  );
  return rows[0]?.value ?? '';
}

async function signUpAndPlace(client: Client): Promise<string> {
  const id = randomUUIDv7();
  await client.query(
    `INSERT INTO users (id, name, email, password_hash) VALUES ('${id}', 'Ada', '${id}@example.test', 'none')`,
  );
  await client.query(place(id));
  await client.query(place(id));
  return id;
}
