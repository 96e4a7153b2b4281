import { once } from 'node:events';
import type { Socket } from 'node:net';
import type { ExecutionContext } from 'ava';
import { newEmail } from '../../test/support/accounts.ts';
import { test, withSettings } from '../../test/support/context.ts';
import { exchange, openSocket, parseReplies } from '../../test/support/raw-http.ts';
import { until } from '../../test/support/until.ts';

const GET = 'GET /livez HTTP/1.1\r\nHost: x\r\n\r\n';

for (const [what, settings] of [
  ['connections', { CONNECTIONS_MAX: '3' }],
  ['connections of one client', { CONNECTIONS_PER_CLIENT_MAX: '3' }],
  ['connections, also of proxies,', { CONNECTIONS_MAX: '3', TRUSTED_PROXIES: '127.0.0.1' }],
] as const) {
  test(`when there are as many ${what} as allowed, the next one gets 503, until one ends`, async (t) => {
    const { origin, server } = await withSettings(t, settings);
    const [first] = await open(t, origin, 3);

    const [refused] = await exchange(origin, GET);
    first?.destroy();
    await until('the end of a connection', () => connections(server, 2));
    const [accepted] = await exchange(origin, GET);

    t.is(refused?.status, 503);
    t.is(refused?.headers.get('content-type'), 'application/problem+json');
    t.regex(refused?.headers.get('retry-after') ?? '', /^\d+$/);
    t.is(accepted?.status, 200);
  });
}

test('a request on a refused connection has no effect', async (t) => {
  const { origin, server } = await withSettings(t, { CONNECTIONS_MAX: '1' });
  const [first] = await open(t, origin, 1);
  const body = JSON.stringify({ name: 'Ada', email: newEmail(), password: 'a-long-password' });
  const post = (path: string) =>
    `POST ${path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n` +
    `Content-Length: ${body.length}\r\n\r\n${body}`;

  const refused = await exchange(origin, post('/auth/register'));
  first?.destroy();
  await until('the end of the connections', () => connections(server, 0));
  const [accepted] = await exchange(origin, post('/auth/register'));

  t.deepEqual(
    refused.map(({ status }) => status),
    [503],
  );
  t.is(accepted?.status, 201);
});

test('a trusted proxy has no limit of its own', async (t) => {
  const settings = { CONNECTIONS_PER_CLIENT_MAX: '3', TRUSTED_PROXIES: '127.0.0.0/8' };
  const { origin } = await withSettings(t, settings);
  await open(t, origin, 5);

  const [reply] = await exchange(origin, GET);

  t.is(reply?.status, 200);
});

test('an idle connection stays open for as long as the setting says', async (t) => {
  const { origin } = await withSettings(t, { KEEP_ALIVE_SECONDS: '620' });

  const [byDefault] = await exchange(t.context.origin, GET);
  const [given] = await exchange(origin, GET);

  t.is(byDefault?.headers.get('keep-alive'), 'timeout=75');
  t.is(given?.headers.get('keep-alive'), 'timeout=620');
});

for (const [what, bytes] of [
  ['nothing', ''],
  ['half a request line', 'GET /li'],
  ['half a head', 'GET /livez HTTP/1.1\r\nHost: x\r\n'],
  [
    'half a body',
    'POST /auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{',
  ],
] as const) {
  test(`a client that sends ${what} and then nothing is disconnected with 408`, async (t) => {
    const [socket] = await open(t, t.context.origin, 1);
    let text = '';
    socket?.setEncoding('latin1').on('data', (more: string) => (text += more));
    socket?.write(bytes);

    await until('the end of the connection', () => socket?.closed, 120_000);

    t.deepEqual(
      parseReplies(text).map(({ status }) => status),
      [408],
    );
  });
}

async function open(t: ExecutionContext, origin: string, count: number): Promise<Socket[]> {
  const sockets = Array.from({ length: count }, () => openSocket(origin));
  t.teardown(() => sockets.forEach((socket) => socket.destroy()));
  await Promise.all(sockets.map((socket) => once(socket, 'connect')));
  return sockets;
}

function connections(
  server: { getConnections: (callback: (error: Error | null, count: number) => void) => unknown },
  expected: number,
): Promise<boolean> {
  return new Promise((resolve) => {
    server.getConnections((_error, count) => resolve(count === expected));
  });
}
