import { createRequire } from 'node:module';
import { send, test, withSettings } from './testing/context.ts';

type Summary = {
  run: {
    failures: { error: Error; source?: { name?: string } }[];
    stats: { assertions: { total: number } };
  };
};
type Newman = {
  run: (options: object, done: (error: Error | null, summary: Summary) => void) => void;
};
const newman = createRequire(import.meta.url)('newman') as Newman;

test('our Postman collection runs from start to end by itself', async (t) => {
  const collection = new URL('../postman_collection.json', import.meta.url).pathname;
  const envVar = [{ key: 'base_url', value: t.context.origin }];

  const { run } = await new Promise<Summary>((resolve, reject) => {
    newman.run({ collection, envVar }, (error, summary) =>
      error ? reject(error) : resolve(summary),
    );
  });

  t.deepEqual(
    run.failures.map(({ source, error }) => `${source?.name}: ${error.message}`),
    [],
  );
  t.true(run.stats.assertions.total > 40);
});

test("the seed's client, request by request, gets the seed's answers", async (t) => {
  const { origin } = await withSettings(t, { PASSWORD_MIN_LENGTH: '6' });

  const registered = await send(origin, 'POST', '/auth/register', {
    body: '{\n    "name": "alen",\n    "email": "alen@gamil.com",\n    "password": "alen21"\n}',
  });
  const loggedIn = await send(origin, 'POST', '/auth/login', {
    body: '{\n    "email": "alen@gamil.com",\n    "password": "alen21"\n}',
  });
  const headers = { authorization: `Bearer ${loggedIn.body.access_token}` };
  const created = await send(origin, 'POST', '/orders/create', {
    headers,
    body: '{\n    "product_name": "Book",\n    "amount": 99.0\n}',
  });
  const listed = await send(origin, 'GET', '/orders/my-orders?status=PENDING', { headers });
  const cancelled = await send(origin, 'PATCH', `/orders/${created.body.id}/cancel`, { headers });

  t.is(registered.status, 201);
  t.deepEqual(Object.keys(registered.body), ['id', 'name', 'email']);
  t.is(loggedIn.status, 200);
  t.is(loggedIn.body.token_type, 'bearer');
  t.is(created.status, 201);
  t.like(created.body, {
    product_name: 'Book',
    amount: '99.00',
    status: 'PENDING',
    user_id: registered.body.id,
  });
  t.is(listed.status, 200);
  t.deepEqual(listed.body, [created.body]);
  t.is(cancelled.status, 200);
  t.is(cancelled.body.status, 'CANCELLED');
});
