import { send, signUp, test } from '../../test/support/context.ts';

test('the place of a mistake in the body is a JSON Pointer as a URI fragment', async (t) => {
  const user = await signUp(t.context);
  const odd = { 'a/b~c': 1, 'x y"ü%': 1, '\ud800': 1 };

  const { status, body } = await user.request('POST', '/orders', odd);

  t.is(status, 422);
  t.deepEqual(
    body.errors.slice(-3).map(({ pointer }: { pointer: string }) => pointer),
    ['#/a~1b~0c', '#/x%20y%22%C3%BC%25', '#/%EF%BF%BD'],
  );
  for (const { detail } of body.errors) t.is(typeof detail, 'string');
});

test('at most 20 mistakes are listed, with short names, even when a body has thousands', async (t) => {
  const user = await signUp(t.context);
  const many = Object.fromEntries(Array.from({ length: 9000 }, (_, at) => [`f${at}`, 1]));

  const thousands = await user.request('POST', '/orders', many);
  const long = await user.request('POST', '/orders', { ['ü'.repeat(40_000)]: 1 });
  const query = await user.request('GET', `/orders?${'x'.repeat(5000)}=1`);

  t.is(thousands.status, 422);
  t.is(thousands.body.errors.length, 20);
  t.deepEqual([long.status, query.status], [422, 422]);
  for (const { body } of [thousands, long, query]) t.true(JSON.stringify(body).length < 3000);
});

test('a mistake in a header field names the field', async (t) => {
  const user = await signUp(t.context);
  const order = { product_name: 'Kettle', amount: 1 };

  const reply = await user.request('POST', '/orders', order, { 'idempotency-key': '"open' });

  t.is(reply.status, 400);
  t.like(reply.body.errors, [{ header: 'Idempotency-Key', detail: reply.body.detail }]);
});

test('a mistake in a parameter names the parameter', async (t) => {
  const user = await signUp(t.context);

  const inQuery = await user.request('GET', '/orders?limit=0');
  const inPath = await user.request('GET', '/orders/7');
  const twice = await user.request('GET', '/orders?status=PENDING&status=FAILED');

  for (const [reply, name] of [
    [inQuery, 'limit'],
    [inPath, 'id'],
    [twice, 'status'],
  ] as const) {
    t.is(reply.status, 422, name);
    t.deepEqual(Object.keys(reply.body.errors[0]).sort(), ['detail', 'parameter']);
    t.is(reply.body.errors[0].parameter, name);
  }
});

test('a 401 to a wrong password names no token error', async (t) => {
  const body = { email: 'unknown@example.test', password: 'correct horse' };

  const reply = await send(t.context.origin, 'POST', '/auth/login', { body });

  t.deepEqual([reply.status, reply.headers.get('www-authenticate')], [401, 'Bearer realm="oms"']);
});
