import type { ServerResponse } from 'node:http';
import { sql } from 'slonik';
import { z } from 'zod';
import { drain, lookUp, signUp, test } from '../../test/support/context.ts';
import { openFulfilment, status, withFulfilment } from '../../test/support/fulfilment.ts';
import { deleteJobs, eventsOf } from '../../test/support/orders.ts';
import { until } from '../../test/support/until.ts';

// Answers of the external step that are too long, incomplete, or ask for an impossible pause.
//
// Every test is serial: each claims all due jobs in this file's database.

const CHUNK = Buffer.alloc(64 * 1024, 'x');

/** Writes until the connection is closed. */
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
  test.serial(
    `an answer ${code} whose body never ends counts, and its connection is closed`,
    async (t) => {
      let poured = 0;
      const { url } = await openFulfilment(t, (response) => {
        const { socket } = response.writeHead(code);
        response.on('close', () => (poured = socket?.bytesWritten ?? 0));
        pour(response);
      });
      const { deps } = await withFulfilment(t, url);
      const id = await (await signUp(t.context)).place();

      await drain(deps, 'process-order');
      await until('the connection to be closed', () => poured > 0);

      t.is((await lookUp(deps, id)).status, ended);
      const reason = (await eventsOf(deps, id)).at(-1)?.reason ?? '';
      t.true(reason.length < 400, `${reason.length} characters`);
      t.true(poured < 50e6, `${poured} bytes`);
    },
  );

  test.serial(`an answer ${code} whose body never arrives counts`, async (t) => {
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
  'a Retry-After never makes the next attempt come sooner than the back-off',
  async (t) => {
    for (const retryAfter of ['0', '1', '-5', 'Wed, 21 Oct 2015 07:28:00 GMT', 'soon']) {
      const { url } = await openFulfilment(t, status(429, { 'retry-after': retryAfter }));
      const { deps } = await withFulfilment(t, url);
      const id = await (await signUp(t.context)).place();
      for (let tries = 1; tries <= 4; tries += 1)
        await drain(deps, 'process-order', { early: true });

      const Pause = z.object({ seconds: z.number() });
      const { seconds } = await deps.pool.one(sql.type(Pause)`
      SELECT extract(epoch FROM start_after - started_on)::float8 AS seconds
      FROM pgboss.job WHERE id = ${id}
    `);
      t.true(seconds > 6, `${retryAfter}: ${seconds}`); // the fifth attempt is due after 8 to 16 s
      await deleteJobs(deps, 'process-order');
    }
  },
);

test.afterEach.always('the next test starts without jobs', async (t) => {
  await deleteJobs(t.context.deps, 'process-order');
  await deleteJobs(t.context.deps, 'fail-order');
});
