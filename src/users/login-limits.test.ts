import { randomInt, randomUUID } from 'node:crypto';
import type { ExecutionContext } from 'ava';
import { sql } from 'slonik';
import { newEmail, PASSWORD } from '../../test/support/accounts.ts';
import { cheapAccount, countingHasher } from '../../test/support/cheap-hashing.ts';
import { send, test, withDeps, type Context } from '../../test/support/context.ts';

test('a client that rotates addresses and spellings in an IPv6 /64 has one limit of failed logins', async (t) => {
  const { count, ...api } = await openApi(t, { RATE_LIMIT_LOGIN: 3 });
  const hosts = ['::1', '::2', '::2:3:4', '::ABCD', '::0001', '::3', '::4'];
  const prefix = `2001:db8:${hex()}:${hex()}`;

  const statuses = [];
  for (const [at, host] of hosts.entries())
    statuses.push(await logInFrom(api, at % 2 ? `[${prefix}${host}]:${4000 + at}` : prefix + host));

  t.deepEqual(statuses, [401, 401, 401, 429, 429, 429, 429]);
  t.is(count.hashes, 3, 'a login that is refused costs no hash');
});

test('a client that rotates the /64 networks of a /48 has one limit, four times as high', async (t) => {
  const api = await openApi(t, { RATE_LIMIT_LOGIN: 2 });
  const site = `2001:db8:${hex()}`;

  const statuses = [];
  for (let network = 1; network <= 14; network += 1)
    statuses.push(await logInFrom(api, `${site}:${network}::1`));

  t.deepEqual(statuses, [...times(8, 401), ...times(6, 429)]);
});

test('failed logins to one account from many places are limited, also when it does not exist', async (t) => {
  const api = await openApi(t);
  const known = address();
  const email = await cheapAccount(t.context.deps);
  t.is(await logInFrom(api, known, email, PASSWORD), 200);

  const ofUnknown = [];
  for (const attacked of [email, newEmail()]) {
    const statuses = [];
    for (let place = 1; place <= 34; place += 1)
      statuses.push(await logInFrom(api, address(), attacked));
    ofUnknown.push(statuses);
  }

  for (const statuses of ofUnknown) t.deepEqual(statuses, [...times(30, 401), ...times(4, 429)]);
  t.is(await logInFrom(api, address(), email, PASSWORD), 429, 'from an unknown network');
  t.is(await logInFrom(api, known, email, PASSWORD), 200, 'from a network of the owner');
});

test('a stranger in the same network does not lock out its users', async (t) => {
  const api = await openApi(t, { RATE_LIMIT_LOGIN: 2 });
  const office = address();
  const email = await cheapAccount(t.context.deps);
  t.is(await logInFrom(api, office, email, PASSWORD), 200);

  const stranger = [];
  for (let at = 0; at < 4; at += 1) stranger.push(await logInFrom(api, office));

  t.deepEqual(stranger, [401, 401, 429, 429]);
  t.is(await logInFrom(api, office, email, PASSWORD), 200);
});

test('the wait after failed logins to an account doubles, up to 15 minutes, and a login ends it', async (t) => {
  const api = await openApi(t);
  const network = address();
  const email = await cheapAccount(t.context.deps);
  const guess = (password?: string) => replyFrom(api, network, email, password);
  const refusal = async () => Number((await guess()).headers.get('retry-after'));

  for (let free = 0; free < 5; free += 1) t.is((await guess()).status, 401);
  for (const minutes of [1, 2, 4, 8, 15, 15]) {
    const wait = await refusal();
    t.true(wait > minutes * 60 - 60 && wait <= minutes * 60, `${wait} s after ${minutes} min`);
    t.is((await guess(PASSWORD)).status, 429);
    await endWaits(t.context, email);
    t.is((await guess()).status, 401);
  }
  await endWaits(t.context, email);
  t.is((await guess(PASSWORD)).status, 200);
  t.is((await guess()).status, 401, 'the count begins again');
  t.is((await guess(PASSWORD)).status, 200);
});

test('of guesses that arrive at once at two processes, five are compared, and few more are hashed', async (t) => {
  const apis = [await openApi(t), await openApi(t)];
  const network = address();
  const email = await cheapAccount(t.context.deps);

  const statuses = await Promise.all(
    Array.from({ length: 60 }, (_, at) => logInFrom(apis[at % 2] as Api, network, email)),
  );

  t.is(statuses.filter((status) => status === 401).length, 5);
  t.is(statuses.filter((status) => status === 429).length, 55);
  const hashes = apis.reduce((sum, { count }) => sum + count.hashes, 0);
  t.true(hashes <= 5 + 2 * 4, `${hashes} hashes: each process has at most four logins under way`);
});

test('failed logins of one network at two processes share one limit, also when Redis is emptied', async (t) => {
  const [one, two] = [
    await openApi(t, { RATE_LIMIT_LOGIN: 4 }),
    await openApi(t, { RATE_LIMIT_LOGIN: 4 }),
  ];
  const network = address();

  const before = [await logInFrom(one, network), await logInFrom(two, network)];
  await emptyRedis(t.context);
  const after = [];
  for (const api of [one, two, one, two]) after.push(await logInFrom(api, network));

  t.deepEqual([...before, ...after], [401, 401, 401, 401, 429, 429]);
});

test('160 users of one /64 can log in at once, although only 5 logins may fail', async (t) => {
  const api = await openApi(t, { RATE_LIMIT_LOGIN: 5 });
  const prefix = `2001:db8:${hex()}:${hex()}`;
  const emails = await Promise.all(times(160, 0).map(() => cheapAccount(t.context.deps)));

  const statuses = await Promise.all(
    emails.map((email, at) => logInFrom(api, `${prefix}::${at + 1}`, email, PASSWORD)),
  );

  t.deepEqual([...new Set(statuses)], [200]);
  t.is(api.count.hashes, 160);
});

test('the reply to a login says how many failed logins are left', async (t) => {
  const api = await openApi(t, { RATE_LIMIT_LOGIN: 2 });
  const network = address();

  const replies = [];
  for (let at = 0; at < 3; at += 1) replies.push(await replyFrom(api, network, newEmail()));

  const lefts = replies.map(({ headers }) => headers.get('ratelimit') ?? '');
  t.regex(lefts[0] ?? '', /^"login";r=1;t=(60|[1-5]?\d)$/);
  t.regex(lefts[1] ?? '', /^"login";r=0;t=(60|[1-5]?\d)$/);
  t.is(replies[2]?.headers.get('ratelimit-policy'), '"login";q=2;w=60');
  t.like(replies[2]?.body, { status: 429, 'violated-policies': ['login'] });
});

type Api = Awaited<ReturnType<typeof openApi>>;

/** A further API process behind a trusted proxy, with cheap hashes, and without limits except the given ones. */
async function openApi(
  t: ExecutionContext<Context>,
  limits: Partial<Context['deps']['config']> = {},
) {
  const { count, passwords } = countingHasher();
  const config = { ...t.context.deps.config, TRUSTED_PROXIES: ['127.0.0.1'], ...limits };
  return { count, ...(await withDeps(t, { passwords, config })) };
}

function replyFrom({ origin }: { origin: string }, from: string, email: string, password = 'no') {
  const headers = { 'x-forwarded-for': from };
  return send(origin, 'POST', '/auth/login', { headers, body: { email, password } });
}

async function logInFrom(api: { origin: string }, from: string, email?: string, password?: string) {
  return (await replyFrom(api, from, email ?? newEmail(), password)).status;
}

/** Ends the waits of an account, as if their time had passed. */
async function endWaits({ deps }: Context, email: string) {
  await deps.pool.query(sql.unsafe`
    UPDATE attempt_counts SET refused_until = now()
    WHERE scope = 'login pair' AND key LIKE account_key(${email}) || '%'
  `);
}

async function emptyRedis({ deps: { redis, config } }: Context) {
  const keys = (await redis?.keys(`${config.REDIS_PREFIX}:*`)) ?? [];
  if (keys.length > 0) await redis?.del(keys);
}

/** An address of a network that no other test uses. */
function address(): string {
  return `10.${randomInt(256)}.${randomInt(256)}.${randomInt(256)}`;
}

function hex(): string {
  return randomUUID().slice(0, 4).replace(/^0+/, '1');
}

function times<T>(count: number, value: T): T[] {
  return Array.from({ length: count }, () => value);
}
