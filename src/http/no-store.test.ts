import { randomUUID } from 'node:crypto';
import { logIn, newEmail, refresh, refreshTokenOf, register } from '../../test/support/accounts.ts';
import { send, signUp, test } from '../../test/support/context.ts';

test('no cache stores the reply to an authenticated request, whether it succeeds or not', async (t) => {
  const user = await signUp(t.context);
  const order = { product_name: 'Kettle', amount: '34.90' };
  const placed = await user.request('POST', '/orders', order);
  const { id } = placed.body;
  const key = { 'idempotency-key': randomUUID() };

  const replies = [
    placed,
    await user.request('POST', '/orders', order, key),
    await user.request('POST', '/orders', order, key),
    await user.request('POST', '/orders', {}),
    await user.request('GET', '/orders'),
    await user.request('GET', '/orders/my-orders'),
    await user.request('GET', `/orders/${id}`),
    await user.request('GET', `/orders/${id}/events`),
    await user.request('GET', `/orders/${randomUUID()}`),
    await user.request('PUT', `/orders/${id}/cancellation`),
    await user.request('GET', '/auth/me'),
    await user.request('GET', '/auth/sessions'),
    await user.request('POST', '/auth/logout-everywhere'),
    await user.request('GET', '/auth/me'),
  ];

  t.deepEqual(
    replies.map(({ status }) => status),
    [201, 201, 201, 422, 200, 200, 200, 200, 404, 200, 200, 200, 204, 401],
  );
  for (const { headers } of replies) t.is(headers.get('cache-control'), 'no-store');
});

test('no cache stores a reply with a token', async (t) => {
  const email = newEmail();
  await register(t.context, { email });

  const login = await logIn(t.context, email);
  const cookie = await refresh(t.context, refreshTokenOf(login));
  const body = { refresh_token: refreshTokenOf(cookie) };
  const inBody = await send(t.context.origin, 'POST', '/auth/refresh', { body });

  for (const { status, headers } of [login, cookie, inBody])
    t.deepEqual([status, headers.get('cache-control')], [200, 'no-store']);
});
