import type { ServerResponse } from 'node:http';
import { Webhook } from 'standardwebhooks';
import { freePort } from '../local/free-port.ts';
import { drain, lookUp, signUp, test } from '../../test/support/context.ts';
import {
  FULFILMENT_SECRET,
  openFulfilment,
  status,
  withFulfilment,
} from '../../test/support/fulfilment.ts';
import { eventsOf, jobOf, leaveOneTry, deleteJobs } from '../../test/support/orders.ts';
import { parseRetryAfter } from './fulfilment-request.ts';

// Every test is serial: each claims all due jobs in this file's database.

test.serial(
  'an order that the external step accepts is completed, with an event for each step',
  async (t) => {
    for (const code of [200, 201, 202, 204]) {
      const { url } = await openFulfilment(t, status(code));
      const { deps } = await withFulfilment(t, url);
      const id = await (await signUp(t.context)).place();

      const outcomes = await drain(deps, 'process-order');

      t.deepEqual(outcomes, ['completed']);
      t.deepEqual(await lookUp(deps, id), { status: 'COMPLETED', version: 3, job: 'completed' });
      t.deepEqual(
        (await eventsOf(deps, id)).map(({ to_status, reason }) => [to_status, reason]),
        [
          ['PENDING', null],
          ['PROCESSING', null],
          ['COMPLETED', null],
        ],
      );
    }
  },
);

test.serial(
  'the external step gets the order as signed JSON, with its id as Idempotency-Key',
  async (t) => {
    const { url, calls } = await openFulfilment(t, status(200));
    const { deps } = await withFulfilment(t, url);
    const user = await signUp(t.context);
    const { body: placed } = await user.request('POST', '/orders', {
      product_name: 'Çaydanlık 🫖',
      amount: '0.30',
      metadata: { gift: true },
    });

    await drain(deps, 'process-order');

    t.is(calls.length, 1);
    const { method, headers = {}, body = '' } = calls[0] ?? {};
    t.is(method, 'POST');
    t.is(headers['content-type'], 'application/json');
    t.is(headers['idempotency-key'], placed.id);
    t.is(headers['webhook-id'], placed.id);
    const signed = new Webhook(FULFILMENT_SECRET).verify(body, headers as Record<string, string>);
    const { updated_at } = signed as { updated_at: string };
    t.deepEqual(signed, { ...placed, status: 'PROCESSING', version: 2, updated_at });
    t.throws(() =>
      new Webhook(FULFILMENT_SECRET).verify(`${body} `, headers as Record<string, string>),
    );
  },
);

test.serial('during the call, the order is PROCESSING and cannot be cancelled', async (t) => {
  const user = await signUp(t.context);
  const during: unknown[] = [];
  const { url } = await openFulfilment(t, async (response, { headers }) => {
    const id = String(headers['idempotency-key']);
    const reply = await user.request('PUT', `/orders/${id}/cancellation`);
    during.push(await lookUp(t.context.deps, id), reply.status);
    response.end();
  });
  const { deps } = await withFulfilment(t, url);
  const id = await user.place();

  await drain(deps, 'process-order');

  t.deepEqual(during, [{ status: 'PROCESSING', version: 2, job: 'active' }, 409]);
  t.is((await lookUp(deps, id)).status, 'COMPLETED');
});

for (const code of [400, 401, 404, 410, 422, 451]) {
  test.serial(
    `an order that is answered with ${code} becomes FAILED, and its events say why`,
    async (t) => {
      const { url, calls } = await openFulfilment(t, status(code, {}, 'out of\n stock\0'));
      const { deps } = await withFulfilment(t, url);
      const id = await (await signUp(t.context)).place();

      await drain(deps, 'process-order');

      t.deepEqual(await lookUp(deps, id), { status: 'FAILED', version: 3, job: 'completed' });
      t.is(
        (await eventsOf(deps, id)).at(-1)?.reason,
        `fulfilment answered ${code} out of stock\\u0000`,
      );
      t.is(calls.length, 1);
    },
  );
}

for (const code of [301, 302, 307, 408, 409, 425, 429, 500, 502, 503, 504]) {
  test.serial(`an order that is answered with ${code} is retried`, async (t) => {
    const { url, calls } = await openFulfilment(t, status(code, { location: '/elsewhere' }));
    const { deps } = await withFulfilment(t, url);
    const id = await (await signUp(t.context)).place();

    const outcomes = await drain(deps, 'process-order');

    t.deepEqual(outcomes, ['failed']);
    t.deepEqual(await lookUp(deps, id), { status: 'PROCESSING', version: 2, job: 'retry' });
    t.regex(JSON.stringify((await jobOf(deps, id)).output), new RegExp(`answered ${code} said so`));
    t.is(calls.length, 1);
  });
}

const noAnswers: [what: string, answer: (response: ServerResponse) => unknown][] = [
  ['does not answer in time', () => undefined],
  ['closes the connection', (response) => response.destroy()],
  ['does not answer in HTTP', (response) => response.socket?.end('what?\r\n\r\n')],
];
for (const [what, answer] of noAnswers) {
  test.serial(`when the external step ${what}, the order is retried`, async (t) => {
    const { url } = await openFulfilment(t, answer);
    const { deps } = await withFulfilment(t, url, { FULFILMENT_TIMEOUT_MS: '200' });
    const id = await (await signUp(t.context)).place();

    await drain(deps, 'process-order');

    t.deepEqual(await lookUp(deps, id), { status: 'PROCESSING', version: 2, job: 'retry' });
    t.regex(JSON.stringify((await jobOf(deps, id)).output), /fulfilment did not answer: \w+/);
  });
}

test.serial('when the external step refuses the connection, the order is retried', async (t) => {
  const { deps } = await withFulfilment(t, `http://127.0.0.1:${await freePort()}`);
  const id = await (await signUp(t.context)).place();

  await drain(deps, 'process-order');

  t.deepEqual(await lookUp(deps, id), { status: 'PROCESSING', version: 2, job: 'retry' });
});

test.serial('a retried order has the same Idempotency-Key, and is completed once', async (t) => {
  const { url, calls } = await openFulfilment(t, (response) => {
    response.writeHead(calls.length === 1 ? 503 : 200).end();
  });
  const { deps } = await withFulfilment(t, url);
  const id = await (await signUp(t.context)).place();

  const first = await drain(deps, 'process-order');
  const second = await drain(deps, 'process-order', { early: true });

  t.deepEqual([first, second], [['failed'], ['completed']]);
  t.deepEqual(
    calls.map(({ headers }) => headers['idempotency-key']),
    [id, id],
  );
  t.deepEqual(await lookUp(deps, id), { status: 'COMPLETED', version: 3, job: 'completed' });
});

for (const [what, header, seconds] of [
  ['in seconds', () => '120', 120],
  ['as a date', () => new Date(Date.now() + 600_000).toUTCString(), 600],
  ['of more than an hour, which counts as an hour', () => '999999999', 3600],
] as const) {
  test.serial(`the next attempt is not due before a Retry-After ${what}`, async (t) => {
    const { url } = await openFulfilment(t, (response) =>
      response.writeHead(503, { 'retry-after': header() }).end(),
    );
    const { deps } = await withFulfilment(t, url);
    const id = await (await signUp(t.context)).place();
    const before = Date.now();

    await drain(deps, 'process-order');

    const job = await jobOf(deps, id);
    t.is(job.state, 'retry');
    const pause = (job.startAfter.getTime() - before) / 1000;
    t.true(pause > seconds - 2 && pause < seconds + 10, `${pause} s`);
  });
}

test('a Retry-After in seconds or as a date becomes 0 to 3600 seconds, and any other value nothing', (t) => {
  const now = Date.parse('2026-01-01T00:00:00Z');
  const read = (value: string | null) => parseRetryAfter(value, now);

  t.is(read('0'), 0);
  t.is(read('120'), 120);
  t.is(read('Thu, 01 Jan 2026 00:01:00 GMT'), 60);
  t.is(read('Wed, 31 Dec 2025 00:00:00 GMT'), 0);
  t.is(read('99999999999999999999'), 3600);
  t.is(read('Thu, 01 Jan 2099 00:00:00 GMT'), 3600);
  for (const value of [null, '', 'soon', '-']) t.is(read(value), undefined);
});

test.serial(
  'an order whose last attempt fails becomes FAILED, and its events say why',
  async (t) => {
    for (const headers of [{}, { 'retry-after': '30' }]) {
      const { url } = await openFulfilment(t, status(503, headers, 'closed'));
      const { deps } = await withFulfilment(t, url);
      const id = await (await signUp(t.context)).place();
      await leaveOneTry(deps, id);

      await drain(deps, 'process-order');
      const exhausted = await lookUp(deps, id);
      await drain(deps, 'fail-order');

      t.deepEqual(exhausted, { status: 'PROCESSING', version: 2, job: 'failed' });
      t.deepEqual(await lookUp(deps, id), { status: 'FAILED', version: 3, job: 'failed' });
      t.regex((await eventsOf(deps, id)).at(-1)?.reason ?? '', /fulfilment answered 503 closed$/);
    }
  },
);

test.serial('at most FULFILMENT_CONCURRENCY calls are made at the same time', async (t) => {
  let waiting: ServerResponse[] = [];
  let most = 0;
  const { url, calls } = await openFulfilment(t, (response) => {
    waiting.push(response);
    most = Math.max(most, waiting.length);
    if (waiting.length === 3) setTimeout(answerAll, 100); // time for a fourth call
  });
  const answerAll = () => {
    for (const response of waiting) response.end();
    waiting = [];
  };
  const { deps } = await withFulfilment(t, url, { FULFILMENT_CONCURRENCY: '3' });
  const user = await signUp(t.context);
  for (let count = 0; count < 9; count += 1) await user.place();

  const outcomes = await drain(deps, 'process-order');

  t.is(most, 3);
  t.is(calls.length, 9);
  t.is(outcomes.length, 9);
});

test.afterEach.always('the next test starts without jobs', async (t) => {
  await deleteJobs(t.context.deps, 'process-order');
  await deleteJobs(t.context.deps, 'fail-order');
});
