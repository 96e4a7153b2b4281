import { Redis } from 'ioredis';
import { sql } from 'slonik';
import { z } from 'zod';
import { test } from '../test/support/context.ts';
import { ownRedis } from '../test/support/processes.ts';
import { loggedError } from './logged-error.ts';

const SECRET = 'geheim-4711';

test('no secret that a library adds to an error is logged', async (t) => {
  const { pool } = t.context.deps;
  const redis = new Redis((await ownRedis(t)).url);
  t.teardown(() => redis.disconnect());
  const Wrong = sql.type(z.object({ token: z.int() }));
  const errors = {
    redis: redis.call('AUTH', 'oms', SECRET),
    schema: pool.one(Wrong`SELECT ${SECRET} AS token`),
    empty: pool.one(Wrong`SELECT ${SECRET} AS token WHERE false`),
    constraint: pool.query(sql.unsafe`
      INSERT INTO users (id, name, email, password_hash) VALUES (gen_random_uuid(), NULL, 'a@b.test', ${SECRET})
    `),
    url: Promise.resolve().then(() => new URL(`redis://oms:${SECRET}@[`)),
  };

  for (const [what, failing] of Object.entries(errors)) {
    const error = await t.throwsAsync<Error>(failing as Promise<unknown>, undefined, what);
    const logged = loggedError(error);
    t.notRegex(JSON.stringify(logged), new RegExp(SECRET), what);
    t.like(logged, { message: error?.message });
  }
});

test('the log keeps message, code and stack of an error and its causes, and no control characters', (t) => {
  const inner = Object.assign(new Error('refused \u001b[2J'), { code: 'ECONNREFUSED' });
  const outer = new TypeError('fetch failed', { cause: new AggregateError([inner]) });

  const logged = loggedError(outer) as { stack: string; cause: { cause: object } };

  t.like(logged, { type: 'TypeError', message: 'fetch failed' });
  t.regex(logged.stack, /\n\s+at /);
  t.like(logged.cause.cause, { message: 'refused \\u001b[2J', code: 'ECONNREFUSED' });
});

test('of a chain of causes without an end, only the first causes are logged', (t) => {
  const error = new Error('again');
  error.cause = error;

  t.true(JSON.stringify(loggedError(error)).length < 100_000);
});
