import { signUp, test } from '../../test/support/context.ts';

test('an alias names the route that replaces it, and since when it is deprecated', async (t) => {
  const user = await signUp(t.context);
  const order = { product_name: 'Mug', amount: 1 };

  const created = await user.request('POST', '/orders/create', order);
  const listed = await user.request('GET', '/orders/my-orders');
  const cancelled = await user.request('PATCH', `/orders/${created.body.id}/cancel`);
  const refused = await user.request('POST', '/orders/create', {});

  for (const [{ headers }, successor] of [
    [created, '/orders'],
    [listed, '/orders'],
    [cancelled, `/orders/${created.body.id}/cancellation`],
    [refused, '/orders'],
  ] as const) {
    t.is(headers.get('deprecation'), '@1795737600');
    t.is(headers.get('link'), `<${successor}>; rel="successor-version"`);
  }
  t.deepEqual(
    [created.status, listed.status, cancelled.status, refused.status],
    [201, 200, 200, 422],
  );
});

test('the Link of an alias stands beside the Link to the next page', async (t) => {
  const user = await signUp(t.context);
  for (let orders = 0; orders < 100; orders += 1) await user.place();

  const { headers } = await user.request('GET', '/orders/my-orders');

  t.regex(
    headers.get('link') ?? '',
    /^<\/orders>; rel="successor-version", <\/orders\/my-orders\?cursor=[^>]+>; rel="next"$/,
  );
});

test('an odd id cannot change the Link of an alias', async (t) => {
  const user = await signUp(t.context);

  for (const id of ['a%3E;rel=%22x%22,%3Cb', '%0d%0aX:%20y', '%f0%9f%91%8d', '%ff']) {
    const { status, headers } = await user.request('PATCH', `/orders/${id}/cancel`);
    t.is(status, 422, id);
    t.regex(
      headers.get('link') ?? '',
      /^<\/orders\/[\w%.~-]+\/cancellation>; rel="successor-version"$/,
      id,
    );
  }
});
