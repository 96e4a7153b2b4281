import { send, test } from '../../test/support/context.ts';
import { problems } from './problem.ts';

test('an unknown path gets 404 with problem details', async (t) => {
  for (const path of ['/nowhere', '/orders/1/2/3', '/problems/nonsense', '/%00', '/%ff']) {
    const reply = await send(t.context.origin, 'GET', path, { headers: { 'x-request-id': 'r-1' } });
    t.is(reply.status, 404, path);
    t.is(reply.type, 'application/problem+json');
    t.deepEqual(reply.body, {
      type: 'about:blank',
      title: 'Not Found',
      status: 404,
      instance: path,
      request_id: 'r-1',
    });
  }
});

test('an unsupported method gets 405 with problem details, and the supported methods in Allow', async (t) => {
  const reply = await send(t.context.origin, 'DELETE', '/orders');

  t.is(reply.status, 405);
  t.like(reply.body, { type: 'about:blank', title: 'Method Not Allowed', status: 405 });
  t.deepEqual(reply.headers.get('allow')?.split(', ').sort(), ['GET', 'HEAD', 'POST']);
});

test('each problem is described at its address', async (t) => {
  const all = await send(t.context.origin, 'GET', '/problems');

  t.is(all.body.length, Object.keys(problems).length);
  for (const [slug, { status, title }] of Object.entries(problems)) {
    const reply = await send(t.context.origin, 'GET', `/problems/${slug}`);
    t.is(reply.status, 200, slug);
    t.like(reply.body, { status, title }, slug);
  }
});
