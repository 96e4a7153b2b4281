import type { ExecutionContext } from 'ava';
import { pino } from 'pino';
import { sql } from 'slonik';
import { z } from 'zod';
import { migrate } from '../migrate.ts';
import { newEmail, PASSWORD, register } from '../../test/support/accounts.ts';
import { ownService, test, type Context } from '../../test/support/context.ts';
import { connectDba } from '../../test/support/dba.ts';
import { testConfig } from '../../test/support/template.ts';
import { createHashing } from './passwords.ts';

const DENIED = '42501';
const BAD_ARGUMENT = 'OM020';

const ROLES = ['oms_api', 'oms_worker', 'oms_dba_read', 'oms_dba', 'oms_auditor'];

/** Statements that no role may run. A test for each role and statement expects the error for a missing privilege. */
const attacks = [
  `SELECT password_hash FROM users`,
  `SELECT id, name, email FROM users`,
  `SELECT count(*) FROM users`,
  `SELECT FROM users FOR KEY SHARE`,
  `SELECT token_hash FROM refresh_tokens`,
  `SELECT FROM refresh_tokens FOR UPDATE`,
  `BEGIN; LOCK TABLE refresh_tokens IN ACCESS SHARE MODE`,
  `COPY users TO STDOUT`,
  `COPY refresh_tokens (token_hash) TO STDOUT`,
  `COPY (SELECT password_hash FROM users) TO STDOUT`,
  `COPY refresh_tokens FROM STDIN`,
  `COPY users TO PROGRAM 'cat'`,
  `INSERT INTO users (id, name, email, password_hash) VALUES (gen_random_uuid(), 'x', 'x@y.zz', 'x')`,
  `UPDATE users SET password_hash = 'mine'`,
  `UPDATE users SET email = 'mine@example.test'`,
  `DELETE FROM users`,
  `INSERT INTO refresh_tokens (id, user_id, family_id, token_hash, expires_at)
    SELECT g, gen_random_uuid(), g, sha256('known'), 'infinity' FROM gen_random_uuid() AS g`,
  `UPDATE refresh_tokens SET token_hash = sha256('known')`,
  `UPDATE refresh_tokens SET revoked_at = NULL, used_at = NULL`,
  `DELETE FROM refresh_tokens`,
  `TRUNCATE refresh_tokens`,
  `CREATE FUNCTION public.sha256(text) RETURNS bytea LANGUAGE sql AS 'SELECT NULL::bytea'`,
  `CREATE OR REPLACE FUNCTION public.password_salt(email text) RETURNS text LANGUAGE sql
    AS 'SELECT password_hash FROM users LIMIT 1'`,
  `CREATE OPERATOR public.= (LEFTARG = bytea, RIGHTARG = bytea, FUNCTION = byteane)`,
  `CREATE CAST (text AS bytea) WITHOUT FUNCTION`,
  `CREATE VIEW public.mine AS SELECT 1`,
  `CREATE TRIGGER mine BEFORE INSERT ON users EXECUTE FUNCTION suppress_redundant_updates_trigger()`,
  `CREATE RULE mine AS ON INSERT TO users DO ALSO NOTIFY mine`,
  `ALTER FUNCTION log_in RESET search_path`,
  `ALTER FUNCTION log_in SECURITY INVOKER`,
  `DROP FUNCTION log_in`,
  `GRANT SELECT ON users TO CURRENT_USER`,
  `GRANT oms_door TO CURRENT_USER`,
];

for (const role of ROLES) {
  for (const attack of attacks) {
    test(`${role} may not: ${attack}`, async (t) => {
      const { refusal } = await connectDba(t, t.context, role);

      const { code, message } = await refusal(attack);

      t.is(code, DENIED, message);
    });
  }
}

test('each door function can be called only by the service that needs it', async (t) => {
  const Row = z.object({ door: z.string(), callers: z.array(z.string()) });
  const doors = await t.context.deps.pool.any(sql.type(Row)`
    SELECT p.proname AS door, array_agg(a.grantee::regrole::text) AS callers
    FROM pg_proc AS p, aclexplode(p.proacl) AS a
    WHERE p.proowner = 'oms_accounts'::regrole AND p.pronamespace = 'public'::regnamespace
      AND a.grantee <> p.proowner AND p.proname ~ '_(user|salt|in|sessions?|tokens|password|reset|attempts?)$'
    GROUP BY p.oid
    ORDER BY p.proname
  `);

  t.deepEqual(
    doors.map(({ door, callers }) => [door].concat(callers)),
    [
      ['change_password', 'oms_api'],
      ['count_attempt', 'oms_api'],
      ['end_all_sessions', 'oms_api'],
      ['end_own_session', 'oms_api'],
      ['end_session', 'oms_api'],
      ['find_user', 'oms_api'],
      ['list_sessions', 'oms_api'],
      ['live_sessions', 'oms_api'],
      ['log_in', 'oms_api'],
      ['password_salt', 'oms_api'],
      ['prune_attempts', 'oms_worker'],
      ['prune_refresh_tokens', 'oms_worker'],
      ['refresh_session', 'oms_api'],
      ['register_user', 'oms_api'],
      ['use_password_reset', 'oms_api'],
    ],
  );
});

for (const role of ROLES.filter((name) => name !== 'oms_api')) {
  test(`${role} may neither check a password nor read a salt`, async (t) => {
    const { refusal } = await connectDba(t, t.context, role);

    const salt = await refusal(`SELECT password_salt('ada@example.test')`);
    const login = await refusal(
      `SELECT log_in('ada@example.test', '$argon2id$', gen_random_uuid(), sha256('t'), 60)`,
    );

    t.deepEqual([salt.code, login.code], [DENIED, DENIED]);
  });
}

test('the owner of the door functions cannot log in or create, and has only oms_owner as member', async (t) => {
  const Row = z.object({
    logs_in: z.boolean(),
    creates: z.boolean(),
    members: z.array(z.string()),
  });
  const door = await t.context.deps.pool.one(sql.type(Row)`
    SELECT rolcanlogin AS logs_in, has_schema_privilege(oid, 'public', 'CREATE') AS creates,
      ARRAY(
        SELECT rolname::text FROM pg_roles AS r
        WHERE NOT r.rolsuper AND r.rolname LIKE 'oms%' AND r.oid <> d.oid
          AND pg_has_role(r.oid, d.oid, 'MEMBER')
      ) AS members
    FROM pg_roles AS d WHERE rolname = 'oms_accounts'
  `);

  t.deepEqual(door, { logs_in: false, creates: false, members: ['oms_owner'] });
});

const LOG_IN = `
  SELECT user_id
  FROM log_in($1, $2, gen_random_uuid(), sha256(uuid_send(gen_random_uuid())), 60,
    inet '10.0.0.0' + (random() * 1e6)::integer) -- each from another network, so that no limit is reached
  WHERE outcome = 'started'`;

test('the salt without the password starts no session', async (t) => {
  const { id, email } = (await register(t.context)).body;
  const api = await connectDba(t, t.context, 'oms_api');
  const salt = await api.value('SELECT salt FROM password_salt($1)', [email]);
  const stranger = await createHashing().salted('a guess', salt);
  const guesses = [
    salt,
    `${salt}$`,
    `${salt}$${'A'.repeat(43)}`,
    `${salt}$%`,
    '$argon2id$',
    stranger,
  ];

  for (const guess of guesses) t.deepEqual(await api.rows(LOG_IN, [email, guess]), [], guess);

  t.regex(salt, /^\$argon2id\$v=19\$m=19456,t=2,p=1\$[A-Za-z0-9+/]{22}$/);
  t.is(await tokensOf(t, id), 0);
  const proof = await createHashing().salted(PASSWORD, salt);
  t.deepEqual(await api.rows(LOG_IN, [email, proof]), [{ user_id: id }]);
  t.is(await tokensOf(t, id), 1);
});

test('an account with a placeholder for a hash has no salt, and the placeholder does not open it', async (t) => {
  const email = newEmail();
  await t.context.deps.pool.query(sql.unsafe`
    INSERT INTO users (id, name, email, password_hash) VALUES (gen_random_uuid(), 'Ada', ${email}, 'none')
  `);
  const api = await connectDba(t, t.context, 'oms_api');

  t.is(await api.value('SELECT salt FROM password_salt($1)', [email]), null);
  t.is((await api.refusal(LOG_IN, [email, 'none'])).code, BAD_ARGUMENT);
  t.is(await api.value('SELECT salt FROM password_salt($1)', [newEmail()]), null);
});

test('the door functions ignore temporary tables of the caller', async (t) => {
  const { id, email } = (await register(t.context)).body;
  // By default, oms_api has no such right.
  await t.context.deps.pool.query(
    sql.unsafe`GRANT TEMPORARY ON DATABASE ${sql.identifier([t.context.database])} TO oms_api`,
  );
  const api = await connectDba(t, t.context, 'oms_api');
  const forged = `$argon2id$v=19$m=19456,t=2,p=1$${'A'.repeat(22)}$${'A'.repeat(43)}`;
  await api.rows(
    `CREATE TEMPORARY TABLE users (id uuid, name text, email text, password_hash text)`,
  );
  await api.rows(`CREATE TEMPORARY TABLE refresh_tokens (LIKE pg_temp.users)`);
  await api.rows('INSERT INTO pg_temp.users VALUES ($1, $2, $3, $4)', [id, 'Ada', email, forged]);
  await api.rows('SET search_path = pg_temp, public');

  t.deepEqual(await api.rows(LOG_IN, [email, forged]), []);
  t.is(await tokensOf(t, id), 0);
});

test('migrate revokes rights that an earlier version granted', async (t) => {
  const service = await ownService(t);
  await service.deps.pool.query(
    sql.unsafe`GRANT ALL ON users, refresh_tokens TO oms_api, oms_worker`,
  );
  await service.deps.pool.query(sql.unsafe`GRANT SELECT (password_hash) ON users TO oms_api`);

  await migrate(testConfig(service.database), pino({ level: 'silent' }));

  for (const role of ['oms_api', 'oms_worker']) {
    const { refusal } = await connectDba(t, service, role);
    t.is((await refusal('SELECT password_hash FROM users')).code, DENIED);
    t.is((await refusal('SELECT FROM refresh_tokens')).code, DENIED);
  }
});

async function tokensOf(t: ExecutionContext<Context>, userId: string): Promise<number> {
  return t.context.deps.pool.oneFirst(sql.type(z.object({ count: z.number() }))`
    SELECT count(*) FROM refresh_tokens WHERE user_id = ${userId}
  `);
}
