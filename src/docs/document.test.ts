import { once } from 'node:events';
import type { Socket } from 'node:net';
import { send, test, withSettings, type Context } from '../../test/support/context.ts';
import { exchange, openSocket } from '../../test/support/raw-http.ts';
import { until } from '../../test/support/until.ts';

const DOCUMENTS = [
  '/',
  '/docs',
  '/docs/viewer.js',
  '/openapi.json',
  '/problems',
  '/problems/order-not-found',
  '/problems/quota-exceeded',
];

for (const path of DOCUMENTS) {
  test(`a client that has ${path} already gets 304 without a body`, async (t) => {
    const first = await send(t.context.origin, 'GET', path);
    const etag = first.headers.get('etag') ?? '';
    const ask = (tags: string, method = 'GET') =>
      send(t.context.origin, method, path, { headers: { 'if-none-match': tags } });

    t.is(first.status, 200);
    t.regex(etag, /^"[\w-]{43}"$/);
    t.regex(first.headers.get('cache-control') ?? '', /^public, max-age=\d+$/);
    for (const tags of [etag, `W/${etag}`, `"other", ${etag}`, '*']) {
      const again = await ask(tags);
      t.deepEqual([again.status, again.body, again.headers.get('etag')], [304, '', etag], tags);
    }
    t.is((await ask(etag, 'HEAD')).status, 304);
    t.is((await ask('"other"')).status, 200);
  });

  test(`HEAD ${path} gets the headers of GET`, async (t) => {
    const get = await send(t.context.origin, 'GET', path);
    const response = await fetch(`${t.context.origin}${path}`, { method: 'HEAD' });

    t.is(response.status, 200);
    for (const name of ['content-type', 'content-length', 'etag', 'cache-control']) {
      t.is(response.headers.get(name), get.headers.get(name), name);
    }
  });
}

test('a client that sends many requests and reads nothing gets one reply at a time', async (t) => {
  const service = await withSettings(t, {});
  const first = await send(service.origin, 'GET', '/docs/viewer.js');
  const size = Number(first.headers.get('content-length'));
  const connected = once(service.server, 'connection') as Promise<[Socket]>;
  const client = openSocket(service.origin);
  t.teardown(() => client.destroy());
  client.pause();

  client.write('GET /docs/viewer.js HTTP/1.1\r\nHost: x\r\n\r\n'.repeat(30));
  const [socket] = await connected;
  await until('a reply that waits', () => socket.writableLength > 0);
  await send(service.origin, 'GET', '/livez'); // until then, the service could wrongly handle more of them

  t.is(await handled(service), 2, 'of 31 requests');
  t.true(socket.writableLength <= size + 10_000);
  client.resume();
  let received = 0;
  client.on('data', (chunk) => (received += chunk.length));
  await until('all replies', () => received > 30 * size);
  t.is(await handled(service), 31);
});

test('a client that sends more requests than may wait is disconnected', async (t) => {
  const replies = await exchange(
    t.context.origin,
    'GET /docs/viewer.js HTTP/1.1\r\nHost: x\r\n\r\n'.repeat(200),
    200,
  );

  t.true(replies.length <= 33);
  t.is((await send(t.context.origin, 'GET', '/livez')).status, 200);
});

/** How many requests for the viewer have been handled, whether or not the reply was sent. */
async function handled({ deps }: Pick<Context, 'deps'>): Promise<number> {
  const { values } = await deps.metrics.httpRequests.get();
  const count = values.find(
    ({ metricName, labels }) =>
      metricName?.endsWith('_count') && labels.route === '/docs/viewer.js',
  );
  return count?.value ?? 0;
}
