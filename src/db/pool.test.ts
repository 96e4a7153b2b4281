import { pino } from 'pino';
import { SchemaValidationError, sql } from 'slonik';
import { z } from 'zod';
import { test } from '../../test/support/context.ts';
import { isRowError, sqlStateOf } from './errors.ts';
import { openPool } from './pool.ts';

test('money, times and counts are returned as they are stored', async (t) => {
  const Row = z.object({ money: z.string(), at: z.iso.datetime(), count: z.number() });

  const row = await t.context.deps.pool.one(sql.type(Row)`
    SELECT 0.10::numeric AS money, '2026-01-02 03:04:05.678+02'::timestamptz AS at, 5::bigint AS count
  `);

  t.deepEqual(row, { money: '0.10', at: '2026-01-02T01:04:05.678Z', count: 5 });
});

test('a row that does not match the schema of the query is refused', async (t) => {
  const Row = z.object({ id: z.uuid() });

  await t.throwsAsync(t.context.deps.pool.one(sql.type(Row)`SELECT 7 AS id`), {
    instanceOf: SchemaValidationError,
  });
});

test('a setting of one transaction does not apply to the next one on the same connection', async (t) => {
  const { pool } = t.context.deps;
  const Row = z.object({ timeout: z.string() });

  const [before, after] = await pool.connect(async (connection) => {
    const read = () =>
      connection.oneFirst(sql.type(Row)`SELECT current_setting('lock_timeout') AS timeout`);
    const first = await read();
    await connection.transaction((tx) =>
      tx.query(sql.unsafe`SELECT set_config('lock_timeout', '4711', true)`),
    );
    return [first, await read()];
  });

  t.not(before, '4711ms');
  t.is(after, before);
});

test('a statement that Postgres refuses throws to its caller and writes no log line', async (t) => {
  const lines: string[] = [];
  const log = pino({ level: 'trace' }, { write: (line: string) => lines.push(line) });
  const pool = await openPool(t.context.deps.config, log);
  t.teardown(() => pool.end());

  await t.throwsAsync(
    pool.query(sql.unsafe`
    INSERT INTO users (id, name, email, password_hash) VALUES (gen_random_uuid(), '', 'x@y.zz', '')
  `),
  );

  t.deepEqual(lines, []);
});

const RAISE = (state: string) =>
  `DO $$ BEGIN RAISE EXCEPTION 'x' USING ERRCODE = '${state}'; END $$`;

for (const [what, state, isOfRow] of [
  ['a value that does not fit', '22003', true],
  ['a broken constraint', '23514', true],
  ['a trigger that refuses', 'P0001', true],
  ['a refused change of status', 'OM001', true],
  ['a database that shuts down', '57P01', false],
  ['a statement that takes too long', '57014', false],
  ['a deadlock', '40P01', false],
  ['a full disk', '53100', false],
  ['a missing table', '42P01', false],
] as const) {
  test(`${what} is ${isOfRow ? 'an error of one row' : 'no error of one row'}`, async (t) => {
    const query = { ...sql.unsafe`DO`, sql: RAISE(state) };

    const error = await t.throwsAsync(t.context.deps.pool.query(query));

    t.is(sqlStateOf(error), state);
    t.is(isRowError(error), isOfRow);
  });
}

test('an error from outside the database is no error of one row, also when it is the cause of another error', (t) => {
  const refused = Object.assign(new Error('connect'), { code: 'ECONNREFUSED' });

  t.is(sqlStateOf(new Error('outer', { cause: refused })), undefined);
  t.is(
    sqlStateOf(new Error('outer', { cause: Object.assign(new Error(), { code: '23505' }) })),
    '23505',
  );
  for (const error of [refused, new Error('plain'), 'text', undefined]) t.false(isRowError(error));
});
