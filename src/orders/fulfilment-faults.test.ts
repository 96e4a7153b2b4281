import type { ServerResponse } from 'node:http';
import { sql } from 'slonik';
import { z } from 'zod';
import { claim, drain, lookUp, signUp, test } from '../../test/support/context.ts';
import { openFulfilment, status, withFulfilment } from '../../test/support/fulfilment.ts';
import { eventsOf, jobOf, deleteJobs } from '../../test/support/orders.ts';
import { until } from '../../test/support/until.ts';
import { runBatch } from '../../test/support/workers.ts';

// Every test is serial: each claims all ready jobs of the one queue in this file's database.

const CHUNK = Buffer.alloc(64 * 1024, 'x');

/** Writes for ever, or until the other side has had enough. */
function pour(response: ServerResponse): void {
  const more = () => {
    while (!response.destroyed && response.write(CHUNK));
  };
  response.on('drain', more);
  more();
}

for (const [code, ended] of [
  [200, 'COMPLETED'],
  [400, 'FAILED'],
  [503, 'PROCESSING'],
] as const) {
  test.serial(`an answer ${code} that never ends is cut off after its first words`, async (t) => {
    let poured = 0;
    const { url } = await openFulfilment(t, (response) => {
      const { socket } = response.writeHead(code);
      response.on('close', () => (poured = socket?.bytesWritten ?? 0));
      pour(response);
    });
    const { deps } = await withFulfilment(t, url);
    const id = await (await signUp(t.context)).place();

    await drain(deps, 'process-order');
    await until('the connection to be cut', () => poured > 0);

    t.is((await lookUp(deps, id)).status, ended);
    const reason = (await eventsOf(deps, id)).at(-1)?.reason ?? '';
    t.true(reason.length < 400, `${reason.length} characters`);
    t.true(poured < 50e6, `${poured} bytes`);
  });

  test.serial(`an answer ${code} counts although its body never comes`, async (t) => {
    const { url } = await openFulfilment(t, (response) => {
      response.writeHead(code).flushHeaders();
    });
    const { deps } = await withFulfilment(t, url, { FULFILMENT_TIMEOUT_MS: '3000' });
    const id = await (await signUp(t.context)).place();

    await drain(deps, 'process-order');

    t.is((await lookUp(deps, id)).status, ended);
    if (ended === 'FAILED') {
      t.is((await eventsOf(deps, id)).at(-1)?.reason, 'fulfilment answered 400');
    }
  });
}

test.serial(
  'a call whose job somebody else has taken over meanwhile does not complete the order',
  async (t) => {
    const { url, calls } = await openFulfilment(t, async (response, { headers }) => {
      if (calls.length === 1) {
        const id = String(headers['idempotency-key']);
        await t.context.deps.boss.fail('process-order', id, { message: 'heartbeat lost' });
        taken.push(...(await claim(t.context.deps, 'process-order', { early: true })));
      }
      response.end();
    });
    const taken: Awaited<ReturnType<typeof claim>> = [];
    const { deps } = await withFulfilment(t, url);
    const id = await (await signUp(t.context)).place();

    const slow = await drain(deps, 'process-order');
    const between = await lookUp(deps, id);
    await runBatch(deps, 'process-order', taken);

    t.deepEqual(slow, ['failed']);
    t.deepEqual(between, { status: 'PROCESSING', version: 2, job: 'active' });
    t.is(taken[0]?.retryCount, 1);
    t.deepEqual(await lookUp(deps, id), { status: 'COMPLETED', version: 3, job: 'completed' });
    t.is(calls.length, 2);
  },
);

for (const code of [400, 503]) {
  test.serial(`a late answer ${code} changes nothing for whoever has the job now`, async (t) => {
    const taken: Awaited<ReturnType<typeof claim>> = [];
    const { url } = await openFulfilment(t, async (response, { headers }) => {
      const id = String(headers['idempotency-key']);
      await t.context.deps.boss.fail('process-order', id, { message: 'heartbeat lost' });
      taken.push(...(await claim(t.context.deps, 'process-order', { early: true })));
      response.writeHead(code, { 'retry-after': '1800' }).end();
    });
    const { deps } = await withFulfilment(t, url);
    const id = await (await signUp(t.context)).place();

    await drain(deps, 'process-order');

    t.is(taken.length, 1);
    t.deepEqual(await lookUp(deps, id), { status: 'PROCESSING', version: 2, job: 'active' });
    t.true((await jobOf(deps, id)).startAfter.getTime() < Date.now() + 60_000);
  });
}

test.serial('a cancelled order is never sent to anybody, and its neighbours are', async (t) => {
  const { url, calls } = await openFulfilment(t, status(200));
  const { deps } = await withFulfilment(t, url);
  const user = await signUp(t.context);
  const [cancelled, neighbour] = [await user.place(), await user.place()];
  const jobs = await claim(deps, 'process-order');

  await user.request('PUT', `/orders/${cancelled}/cancellation`);
  await runBatch(deps, 'process-order', jobs);

  t.deepEqual(
    calls.map(({ headers }) => headers['idempotency-key']),
    [neighbour],
  );
  t.deepEqual(await lookUp(deps, cancelled), {
    status: 'CANCELLED',
    version: 2,
    job: 'cancelled',
  });
  t.is((await lookUp(deps, neighbour)).status, 'COMPLETED');
});

test.serial('an order that is refused harms none of its neighbours', async (t) => {
  const { url } = await openFulfilment(t, (response, { body }) => {
    response.writeHead(body.includes('Broken') ? 422 : 200).end();
  });
  const { deps } = await withFulfilment(t, url);
  const user = await signUp(t.context);
  const ids = [await user.place(), await user.place({ product_name: 'Broken', amount: 1 })];
  ids.push(await user.place());

  await drain(deps, 'process-order');

  const ended = await Promise.all(ids.map(async (id) => (await lookUp(deps, id)).status));
  t.deepEqual(ended, ['COMPLETED', 'FAILED', 'COMPLETED']);
});

test.serial('an order that cannot even be started holds up none of its neighbours', async (t) => {
  const { url, calls } = await openFulfilment(t, status(200));
  const { deps } = await withFulfilment(t, url);
  await deps.pool.query(sql.unsafe`
    CREATE FUNCTION refuse_to_start() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN RAISE EXCEPTION 'this one is poison'; END $$
  `);
  await deps.pool.query(sql.unsafe`
    CREATE TRIGGER orders_99_poison BEFORE UPDATE ON orders FOR EACH ROW
      WHEN (NEW.product_name = 'Poison') EXECUTE FUNCTION refuse_to_start()
  `);
  const user = await signUp(t.context);
  const ids = [await user.place(), await user.place({ product_name: 'Poison', amount: 1 })];
  ids.push(await user.place());

  await drain(deps, 'process-order');

  const now = await Promise.all(ids.map((id) => lookUp(deps, id)));
  t.deepEqual(
    now.map(({ status: reached, job }) => [reached, job]),
    [
      ['COMPLETED', 'completed'],
      ['PENDING', 'retry'],
      ['COMPLETED', 'completed'],
    ],
  );
  t.is(calls.length, 2);
});

test.serial(
  'a worker that has to stop lets go of the call, and the order is tried again',
  async (t) => {
    const stopping = new AbortController();
    const { url } = await openFulfilment(t, () => stopping.abort());
    const { deps } = await withFulfilment(t, url);
    const id = await (await signUp(t.context)).place();
    const jobs = await claim(deps, 'process-order');
    for (const job of jobs) job.signal = stopping.signal;

    const results = await runBatch(deps, 'process-order', jobs);

    t.is(results[0]?.status, 'failed');
    t.notRegex(JSON.stringify(results[0]?.output), /timeout/);
    t.deepEqual(await lookUp(deps, id), { status: 'PROCESSING', version: 2, job: 'active' });
  },
);

test.serial('an order that somebody else finished meanwhile is left as it is', async (t) => {
  const { url } = await openFulfilment(t, async (response, { headers }) => {
    await t.context.deps.pool.query(sql.unsafe`
      UPDATE orders SET status = 'FAILED' WHERE id = ${String(headers['idempotency-key'])}
    `);
    response.end();
  });
  const { deps } = await withFulfilment(t, url);
  const id = await (await signUp(t.context)).place();

  const outcomes = await drain(deps, 'process-order');

  t.deepEqual(outcomes, ['completed']);
  t.deepEqual(await lookUp(deps, id), { status: 'FAILED', version: 3, job: 'completed' });
});

test.serial('an order that an operator put back meanwhile is processed again', async (t) => {
  const { url, calls } = await openFulfilment(t, async (response, { headers }) => {
    const orderId = String(headers['idempotency-key']);
    if (calls.length === 1) {
      const { pool } = t.context.deps;
      await pool.query(sql.unsafe`
        UPDATE pgboss.job SET heartbeat_on = now() - interval '1 hour' WHERE id = ${orderId}
      `);
      await pool.query(
        sql.unsafe`SELECT ops.retry_order(${orderId}, 'its worker has gone silent')`,
      );
    }
    response.end();
  });
  const { deps } = await withFulfilment(t, url);
  const id = await (await signUp(t.context)).place();

  const first = await drain(deps, 'process-order');
  const second = await drain(deps, 'process-order', { early: true });

  t.deepEqual([first, second], [['failed'], ['completed']]);
  t.like(await lookUp(deps, id), { status: 'COMPLETED', job: 'completed' });
});

test.serial('a pause that is asked for never makes the next try come sooner', async (t) => {
  for (const asked of ['0', '1', '-5', 'Wed, 21 Oct 2015 07:28:00 GMT', 'soon']) {
    const { url } = await openFulfilment(t, status(429, { 'retry-after': asked }));
    const { deps } = await withFulfilment(t, url);
    const id = await (await signUp(t.context)).place();
    for (let tries = 1; tries <= 4; tries += 1) await drain(deps, 'process-order', { early: true });

    const Wait = z.object({ seconds: z.number() });
    const { seconds } = await deps.pool.one(sql.type(Wait)`
      SELECT extract(epoch FROM start_after - started_on)::float8 AS seconds
      FROM pgboss.job WHERE id = ${id}
    `);
    t.true(seconds > 6, `${asked}: ${seconds}`); // the fifth try is due after 8 to 16 s
    await deleteJobs(deps, 'process-order');
  }
});

test.afterEach.always('nothing is left for the next test', async (t) => {
  for (const queue of ['process-order', 'fail-order'] as const)
    await deleteJobs(t.context.deps, queue);
});
