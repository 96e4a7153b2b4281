import { z } from 'zod';
import { drain, signUp, test } from '../../test/support/context.ts';
import { connectDba, failOrder } from '../../test/support/dba.ts';
import { openFulfilment, status, withFulfilment } from '../../test/support/fulfilment.ts';
import { beforeStatus, REFUSE } from '../../test/support/obstacles.ts';
import { eventsOf, insertOrders, leaveOneTry } from '../../test/support/orders.ts';
import { freePort } from '../local/free-port.ts';
import { OrderEvents } from './events.ts';

// Tests that drain a queue are serial: each claims all due jobs in this file's database.

type User = Awaited<ReturnType<typeof signUp>>;

/** Patterns of texts for operators. None may be in a reply to a customer. */
const INNER = [
  /worker:|role:|user:/,
  /postgres|oms_|order_events|poison|SQLSTATE|exception/i,
  /https?:|ECONNREFUSED|127\.0\.0\.1|localhost|fulfilment answered|did not answer/,
  /stock|ticket|fraud/,
  // oxlint-disable-next-line no-control-regex -- control characters are what it looks for
  /[\u0000-\u001f\u007f-\u009f]|\\u00/,
];

test.serial('a refusal of the external step reaches the customer as a code only', async (t) => {
  const body = 'no stock\u001b[2J at \u202edb-7.internal';
  const { url } = await openFulfilment(t, status(422, {}, body));
  const { deps } = await withFulfilment(t, url);
  const user = await signUp(t.context);
  const id = await user.place();

  await drain(deps, 'process-order');

  const [ended] = (await repliesAbout(t, user, id)).slice(-1);
  t.like(ended, { to_status: 'FAILED', actor: 'system', reason_code: 'fulfilment-refused' });
  const reason = (await eventsOf(deps, id)).at(-1)?.reason;
  t.is(reason, 'fulfilment answered 422 no stock\\u001b[2J at \\u202edb-7.internal');
});

test.serial(
  'a failed connection to the external step reaches the customer as a code only',
  async (t) => {
    const { deps } = await withFulfilment(
      t,
      `http://127.0.0.1:${await freePort()}/orders?secret=stock`,
    );
    const user = await signUp(t.context);
    const id = await user.place();
    await leaveOneTry(deps, id);

    await drain(deps, 'process-order');
    await drain(deps, 'fail-order');

    const [ended] = (await repliesAbout(t, user, id)).slice(-1);
    t.like(ended, { to_status: 'FAILED', actor: 'system', reason_code: 'attempts-used-up' });
    t.regex(
      (await eventsOf(deps, id)).at(-1)?.reason ?? '',
      /did not answer: connect ECONNREFUSED/,
    );
  },
);

test.serial('an error of the database reaches the customer as a code only', async (t) => {
  const { deps } = t.context;
  await beforeStatus(deps, 'Hopeless', 'COMPLETED', REFUSE);
  const user = await signUp(t.context);
  const id = await user.place({ product_name: 'Hopeless', amount: 1 });
  await leaveOneTry(deps, id);

  await drain(deps, 'process-order');
  await drain(deps, 'fail-order');

  const [ended] = (await repliesAbout(t, user, id)).slice(-1);
  t.like(ended, { to_status: 'FAILED', actor: 'system', reason_code: 'attempts-used-up' });
  t.regex((await eventsOf(deps, id)).at(-1)?.reason ?? '', /poison/);
});

test.serial('the reason that an operator gives does not reach the customer', async (t) => {
  const dba = await connectDba(t);
  const user = await signUp(t.context);
  const [cancelled = '', failed = ''] = await insertOrders(t.context.deps, user.id, 2);
  await failOrder(t.context.deps, failed, 'fraud');

  await dba.rows('SELECT ops.cancel_order($1, $2)', [cancelled, 'ticket 7: fraud by this user']);
  await dba.rows('SELECT ops.retry_order($1, $2)', [failed, 'ticket 8: fraud cleared']);

  const first = await repliesAbout(t, user, cancelled);
  const second = await repliesAbout(t, user, failed);
  t.deepEqual(
    [first, second].map((events) => events.map(({ actor, reason_code }) => [actor, reason_code])),
    [
      [
        ['staff', 'placed-by-staff'],
        ['staff', 'cancelled-by-staff'],
      ],
      [
        ['staff', 'placed-by-staff'],
        ['system', null],
        ['system', 'attempts-used-up'],
        ['staff', 'retried-by-staff'],
      ],
    ],
  );
  for (const { reason, reason_code } of [...first, ...second]) {
    t.is(typeof reason, reason_code === null ? 'object' : 'string');
  }
});

test('the login of the API can read no text of the trail that is for operators', async (t) => {
  const dba = await connectDba(t, t.context, 'oms_api');

  for (const column of ['actor', 'reason', 'job_id', 'hash']) {
    t.is((await dba.refusal(`SELECT ${column} FROM order_events LIMIT 1`)).code, '42501', column);
  }
  await dba.rows('SELECT actor, reason_code FROM customer_events LIMIT 1');
});

/** Sends every request about an order. Checks that no reply contains a text for operators. Returns the events. */
async function repliesAbout(
  t: Parameters<typeof connectDba>[0],
  user: User,
  id: string,
): Promise<z.infer<typeof OrderEvents>['events']> {
  const events = await user.request('GET', `/orders/${id}/events`);
  const others = [
    await user.request('GET', `/orders/${id}`),
    await user.request('GET', '/orders'),
    await user.request('GET', '/orders/my-orders'),
    await user.request('PUT', `/orders/${id}/cancellation`, undefined, { 'idempotency-key': 'k' }),
    await user.request('PUT', `/orders/${id}/cancellation`, undefined, { 'idempotency-key': 'k' }),
    await user.request('PATCH', `/orders/${id}/cancel`),
  ];
  for (const { body, headers } of [events, ...others]) {
    const { 'content-security-policy': _fonts, ...sent } = Object.fromEntries(headers); // it allows https: for fonts
    const text = JSON.stringify([body, sent]);
    for (const inner of INNER) t.notRegex(text, inner);
  }
  t.is(events.status, 200);
  return z.strictObject(OrderEvents.shape).parse(events.body).events;
}
