import { signUp, test } from '../../test/support/context.ts';

test('every reply has the security headers', async (t) => {
  const user = await signUp(t.context);
  const order = { product_name: 'Kettle', amount: '1.00' };

  for (const [method, path, body] of [
    ['GET', '/livez'],
    ['GET', '/docs'],
    ['GET', '/nowhere'],
    ['GET', '/orders'],
    ['POST', '/orders', order],
    ['POST', '/orders', {}],
  ] as const) {
    const { headers } = await user.request(method, path, body);
    t.truthy(headers.get('x-request-id'), path);
    t.is(headers.get('x-content-type-options'), 'nosniff', path);
    t.is(headers.get('x-frame-options'), 'SAMEORIGIN', path);
    t.regex(headers.get('content-security-policy') ?? '', /script-src 'self'/, path);
    t.regex(headers.get('strict-transport-security') ?? '', /max-age=\d{8}/, path);
    t.is(headers.get('x-powered-by'), null, path);
    t.is(headers.get('server'), null, path);
  }
});
