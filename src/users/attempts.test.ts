import { randomInt } from 'node:crypto';
import type { ExecutionContext } from 'ava';
import { sql } from 'slonik';
import { z } from 'zod';
import { newEmail, PASSWORD, refreshTokenOf } from '../../test/support/accounts.ts';
import { cheapAccount, countingHasher } from '../../test/support/cheap-hashing.ts';
import {
  asWorker,
  ownService,
  send,
  test,
  withDeps,
  type Context,
} from '../../test/support/context.ts';
import { connectDba } from '../../test/support/dba.ts';
import { pruneAttempts } from './attempts.ts';

test('failed logins of all networks together have a limit, which users in known networks do not notice', async (t) => {
  const own = await ownService(t);
  const email = await cheapAccount(own.deps);
  const api = await openApi(t, { RATE_LIMIT_LOGIN_TOTAL: 6 }, own);
  t.is(await logInFrom(api, '10.0.0.1', email, PASSWORD), 200);

  const statuses = [];
  for (let at = 0; at < 9; at += 1) statuses.push(await logInFrom(api, address()));

  t.deepEqual(statuses, [401, 401, 401, 401, 401, 401, 429, 429, 429]);
  t.is(await logInFrom(api, '10.0.0.1', email, PASSWORD), 200);
  t.is(await logInFrom(api, address(), email, PASSWORD), 429);
});

test('registrations and resets of a network are limited before hashing, also when Redis is emptied', async (t) => {
  const api = await openApi(t, { RATE_LIMIT_REGISTER: 2, RATE_LIMIT_LOGIN: 2 });
  const from = address();
  const reset = { token: 'f'.repeat(64), new_password: 'a new one, good' };

  const before = [await post(api, from, '/auth/register', newAccount())];
  const resets = [await post(api, from, '/auth/password-reset', reset)];
  await emptyRedis(t.context);
  for (let at = 0; at < 3; at += 1) {
    before.push(await post(api, from, '/auth/register', newAccount()));
    resets.push(await post(api, from, '/auth/password-reset', reset));
  }

  t.deepEqual(statusesOf(before), [201, 201, 429, 429]);
  t.deepEqual(statusesOf(resets).slice(2), [429, 429]);
  t.is(api.count.hashes, 4);
  t.is((await post(api, address(), '/auth/register', newAccount())).status, 201);
});

test('failed refreshes of a network are limited, and a valid one still passes', async (t) => {
  const api = await openApi(t, { RATE_LIMIT_REFRESH: 2 });
  const from = address();
  const email = await cheapAccount(t.context.deps);
  const login = await post(api, from, '/auth/login', { email, password: PASSWORD });

  const failed = [];
  for (let at = 0; at < 4; at += 1)
    failed.push(await post(api, from, '/auth/refresh', { refresh_token: `guess ${at}` }));
  const valid = await post(api, from, '/auth/refresh', { refresh_token: refreshTokenOf(login) });

  t.deepEqual(statusesOf(failed), [401, 401, 429, 429]);
  t.regex(failed[2]?.headers.get('retry-after') ?? '', /^(60|[1-5]?\d)$/);
  t.is(valid.status, 200);
});

test('the API cannot count in other scopes, or read and change counts', async (t) => {
  const { refusal, rows } = await connectDba(t, t.context, 'oms_api');

  for (const attack of [
    'SELECT count(*) FROM attempt_counts',
    'DELETE FROM attempt_counts',
    `UPDATE attempt_counts SET refused_until = '-infinity'`,
    'SELECT count(*) FROM known_networks',
    `INSERT INTO known_networks (user_id, network) SELECT gen_random_uuid(), '10.0.0.1'`,
    `SELECT add_attempt('login account', 'x', 1, true)`,
    `SELECT remember_network(gen_random_uuid(), 'a@example.test', '10.0.0.1', true)`,
    'SELECT prune_attempts()',
  ])
    t.is((await refusal(attack)).code, '42501', attack);
  t.is((await rows(`SELECT used FROM count_attempt('register', '10.0.0.1', 5)`)).length, 1);
});

test('a thief with the database login of the API gets 30 guesses at an account', async (t) => {
  const { rows } = await connectDba(t, t.context, 'oms_api');
  const email = await cheapAccount(t.context.deps);
  const guess = `SELECT outcome FROM log_in($1, '$argon2id$guess', gen_random_uuid(), sha256('t'), 60, $2, NULL, 0, 0)`;

  const outcomes = [];
  for (let at = 0; at < 34; at += 1) outcomes.push(...(await rows(guess, [email, address()])));

  const wrong = outcomes.filter(({ outcome }) => outcome === 'wrong');
  t.is(wrong.length, 30);
});

test('the nightly prune deletes the counts that have ended, and networks without a login for 90 days', async (t) => {
  const own = await ownService(t);
  const api = await openApi(t, { RATE_LIMIT_LOGIN: 5 }, own);
  const [old, recent] = [await cheapAccount(own.deps), await cheapAccount(own.deps)];
  for (const email of [old, recent]) await logInFrom(api, '10.0.0.1', email, PASSWORD);
  for (const email of [old, recent]) await logInFrom(api, '10.0.0.1', email);
  await logInFrom(api, '10.0.0.2', recent);
  await own.deps.pool.query(sql.unsafe`
    UPDATE attempt_counts SET forget_at = now() - interval '1 second' WHERE key LIKE account_key(${old}) || '%'
  `);
  await own.deps.pool.query(sql.unsafe`
    UPDATE known_networks SET seen_at = now() - interval '91 days'
    WHERE user_id = (SELECT id FROM users WHERE email = ${old})
  `);

  const pruned = await pruneAttempts(asWorker(own.deps));

  const Left = z.object({ counts: z.int(), networks: z.int() });
  const left = await own.deps.pool.one(sql.type(Left)`
    SELECT (SELECT count(*) FROM attempt_counts) AS counts, (SELECT count(*) FROM known_networks) AS networks
  `);
  t.is(pruned, 1);
  t.deepEqual(left, { counts: 4, networks: 1 }); // two pairs, an account, a network
});

/** An API behind a trusted proxy, with cheap hashes, and without limits except the given ones. */
async function openApi(
  t: ExecutionContext<Context>,
  limits: Partial<Context['deps']['config']>,
  { deps } = t.context,
) {
  const { count, passwords } = countingHasher();
  const config = { ...deps.config, TRUSTED_PROXIES: ['127.0.0.1'], ...limits };
  return { count, ...(await withDeps(t, { ...deps, passwords, config })) };
}

function post({ origin }: { origin: string }, from: string, path: string, body: object) {
  return send(origin, 'POST', path, { headers: { 'x-forwarded-for': from }, body });
}

async function logInFrom(
  api: { origin: string },
  from: string,
  email = newEmail(),
  password = 'no',
) {
  return (await post(api, from, '/auth/login', { email, password })).status;
}

function statusesOf(replies: { status: number }[]): number[] {
  return replies.map(({ status }) => status);
}

async function emptyRedis({ deps: { redis, config } }: Context) {
  const keys = (await redis?.keys(`${config.REDIS_PREFIX}:*`)) ?? [];
  if (keys.length > 0) await redis?.del(keys);
}

/** An address of a network that no other test uses. */
function address(): string {
  return `10.${randomInt(256)}.${randomInt(256)}.${randomInt(256)}`;
}

function newAccount() {
  return { name: 'Ada', email: newEmail(), password: PASSWORD };
}
