import { createHash } from 'node:crypto';
import type { ExecutionContext } from 'ava';
import { Client } from 'pg';
import { sql } from 'slonik';
import { z } from 'zod';
import { startedSession } from '../../test/support/accounts.ts';
import { test, type Context } from '../../test/support/context.ts';
import { connectDba } from '../../test/support/dba.ts';
import { databaseUrl } from '../../test/support/template.ts';
import { until } from '../../test/support/until.ts';

const REFRESH = `SELECT outcome FROM refresh_session($1, gen_random_uuid(), $2, 10)`;

test('no door function returns a stored hash, neither in a result nor in an error', async (t) => {
  const { id, email, refreshToken } = await startedSession(t.context);
  const { hashPart, salt } = await storedHash(t, id);
  const api = await connectDba(t, t.context, 'oms_api');
  const calls: [string, unknown[]][] = [
    ['SELECT * FROM find_user($1)', [id]],
    ['SELECT salt FROM password_salt($1)', [email]],
    [
      `SELECT register_user(gen_random_uuid(), 'Eve', $1, $2)`,
      [email, `${salt}$${'A'.repeat(43)}`],
    ],
    [
      `SELECT outcome, user_id FROM log_in($1, $2, gen_random_uuid(), sha256('t'), 60)`,
      [email, salt],
    ],
    ['SELECT * FROM refresh_session($1, gen_random_uuid(), $1, 10)', [hashOf(refreshToken)]],
    [
      'SELECT * FROM refresh_session($1, gen_random_uuid(), $2, 10)',
      [hashOf(refreshToken), hashOf('a')],
    ],
    [
      'SELECT * FROM refresh_session($1, gen_random_uuid(), $2, 0)',
      [hashOf(refreshToken), hashOf('b')],
    ],
    ['SELECT end_session($1)', [hashOf('a')]],
    ['SELECT end_all_sessions($1)', [id]],
  ];

  for (const [call, values] of calls) {
    const text = JSON.stringify(await api.rows(call, values).catch(everythingOf));
    t.false(text.includes(hashPart), call);
    t.false(text.includes(hashOf('a').toString('hex')), call);
  }
});

test('the plans that a caller can have printed contain no stored hash', async (t) => {
  const { id, email } = await startedSession(t.context);
  const { hashPart, salt } = await storedHash(t, id);
  const guess = 'B'.repeat(43);
  const client = new Client(databaseUrl(t.context.database));
  await client.connect();
  t.teardown(() => client.end());
  const notices: string[] = [];
  client.on('notice', (notice) => notices.push(`${notice.message} ${notice.detail}`));
  await client.query('SET SESSION AUTHORIZATION oms_api');
  for (const kind of ['parse', 'rewritten', 'plan'])
    await client.query(`SET debug_print_${kind} = on`);
  await client.query('SET debug_pretty_print = off'); // pretty printing breaks lines within numbers
  await client.query('SET client_min_messages = debug5');

  for (let i = 0; i < 7; i += 1) {
    await client.query('SELECT salt FROM password_salt($1)', [email]);
    const call = `SELECT outcome FROM log_in($1, $2, gen_random_uuid(), sha256('t'), 60, $3)`;
    await client.query(call, [email, `${salt}$${guess}`, `198.51.100.${i}`]);
  }

  const printed = notices.join('\n').replaceAll(/\s+/g, ' '); // plans have several lines
  t.true(printed.includes(bytesOf(guess)), 'the plans were printed, with the values of variables');
  t.false(printed.includes(bytesOf(hashPart)));
  t.false(printed.includes(hashPart));
});

test('refresh_session starts no second branch and takes over no token of another session', async (t) => {
  const { id, refreshToken } = await startedSession(t.context);
  const other = await startedSession(t.context);
  const api = await connectDba(t, t.context, 'oms_api');
  const token = hashOf(refreshToken);
  const branch = hashOf(`branch of ${refreshToken}`);

  const adopted = await api.refusal(REFRESH, [token, hashOf(other.refreshToken)]);
  const rotated = await api.value(REFRESH, [token, hashOf(`successor of ${refreshToken}`)]);
  const branched = await api.value(REFRESH, [token, branch]);
  const taken = await api.value(REFRESH, [token, hashOf(other.refreshToken)]);
  const repeated = await api.value(REFRESH, [token, hashOf(`successor of ${refreshToken}`)]);

  t.deepEqual([adopted.code, rotated, branched, taken], ['23505', 'rotated', 'refused', 'refused']);
  t.is(repeated, 'repeated');
  t.is(await api.value(REFRESH, [branch, hashOf('x')]), 'refused');
  const count = await t.context.deps.pool.oneFirst(sql.type(z.object({ count: z.number() }))`
    SELECT count(*) FROM refresh_tokens WHERE user_id = ${id}
  `);
  t.is(count, 2);
});

for (const [title, end] of [
  ['of a session', 'SELECT end_session($1) FROM (SELECT $2::uuid) AS unused'],
  ['of all sessions', 'SELECT end_all_sessions($2) FROM (SELECT $1::bytea) AS unused'],
] as const) {
  test(`the end ${title} waits for a refresh in progress, and ends its successor too`, async (t) => {
    const { id, refreshToken } = await startedSession(t.context);
    const [api, refreshing] = [
      await connectDba(t, t.context, 'oms_api'),
      await connectDba(t, t.context, 'oms_api'),
    ];
    const [token, successor] = [hashOf(refreshToken), hashOf(`successor of ${refreshToken}`)];
    const pid = await api.value('SELECT pg_backend_pid()');
    await refreshing.rows('BEGIN');
    await refreshing.rows(REFRESH, [token, successor]);

    const ended = api.rows(end, [token, id]);
    await until('the end to wait', () => isBlocked(t, pid));
    await refreshing.rows('COMMIT');
    await ended;

    t.is(await api.value(REFRESH, [successor, hashOf('x')]), 'refused');
  });
}

/** Every property of an error that Postgres sends to its client. */
function everythingOf(error: Error): object {
  return Object.fromEntries(
    Object.getOwnPropertyNames(error).map((name) => [name, Reflect.get(error, name)]),
  );
}

async function isBlocked({ context }: ExecutionContext<Context>, pid: number): Promise<boolean> {
  return context.deps.pool.oneFirst(sql.type(z.object({ blocked: z.boolean() }))`
    SELECT cardinality(pg_blocking_pids(${pid})) > 0 AS blocked
  `);
}

async function storedHash({ context }: ExecutionContext<Context>, userId: string) {
  const stored = await context.deps.pool.oneFirst(sql.type(z.object({ password_hash: z.string() }))`
    SELECT password_hash FROM users WHERE id = ${userId}
  `);
  const hashPart = stored.split('$').at(-1) ?? '';
  return { hashPart, salt: stored.slice(0, -hashPart.length - 1) };
}

/** Writes a text as Postgres prints the bytes of a constant in a plan. */
function bytesOf(text: string): string {
  return [...Buffer.from(text)].join(' ');
}

function hashOf(token: string): Buffer {
  return createHash('sha256').update(token).digest();
}
