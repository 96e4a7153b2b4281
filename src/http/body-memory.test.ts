import { once } from 'node:events';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import type { ExecutionContext } from 'ava';
import { test, type Context } from '../../test/support/context.ts';
import { exchange, openSocket } from '../../test/support/raw-http.ts';
import { until } from '../../test/support/until.ts';

// A client can send each byte of a body as a piece of its own. The pieces must not take a hundred times their bytes.

const CONNECTIONS = 10;
/** Ten bodies of one-byte pieces took 100 MB before they were kept together. */
const GROWTH_MAX_MB = 20;

const post = (path: string) =>
  `POST ${path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n`;
const pieces = (count: number) => '1\r\n \r\n'.repeat(count);
const VIEWER = 'GET /docs/viewer.js HTTP/1.1\r\nHost: x\r\n\r\n';

for (const [what, bytes] of [
  ['that is being read', post('/auth/login') + pieces(90_000)],
  ['behind a reply that the client does not read', VIEWER + post('/nowhere') + pieces(10_000)],
  [
    'of each of several requests that wait',
    VIEWER + (post('/nowhere') + pieces(9000) + '0\r\n\r\n').repeat(9),
  ],
] as const) {
  test.serial(`a body of one-byte pieces ${what} takes little memory`, async (t) => {
    const before = heapMb();

    await sendSlowly(t, bytes);

    const growth = heapMb() - before;
    t.true(growth < GROWTH_MAX_MB, `${growth} MB`);
  });
}

test('a body of one-byte pieces is read as one', async (t) => {
  const body = Array.from('{"email":"ada@example.com","password":"long enough 7"}');
  const bytes = body.map((character) => `1\r\n${character}\r\n`).join('');

  const replies = await exchange(
    t.context.origin,
    `${post('/auth/login')}${bytes}0\r\n\r\n${post('/auth/login')}${bytes}0\r\n\r\n`,
    2,
  );

  t.deepEqual(
    replies.map(({ status }) => status),
    [401, 401],
  );
});

test('bodies that are larger than what waits unread are read to their end', async (t) => {
  const spaces = pieces(70_000);
  const replies = await exchange(
    t.context.origin,
    `${post('/auth/logout')}${spaces}2\r\n{}\r\n0\r\n\r\n${post('/auth/login')}${spaces}2\r\n{}\r\n0\r\n\r\n`,
    2,
  );

  t.deepEqual(
    replies.map(({ status }) => status),
    [204, 422],
  );
});

/** Sends bytes on several connections, reads nothing, and waits until the service has read what it reads. */
async function sendSlowly(t: ExecutionContext<Context>, bytes: string): Promise<void> {
  const { origin, server } = t.context;
  let read = 0;
  let unchanged = 0;
  const count = (socket: { bytesRead: number }) => sockets.push(socket);
  const sockets: { bytesRead: number }[] = [];
  server.on('connection', count);
  for (let opened = 0; opened < CONNECTIONS; opened += 1) {
    const socket = openSocket(origin);
    t.teardown(() => socket.destroy());
    await once(socket, 'connect');
    socket.pause().write(bytes);
  }
  await until('the end of reading', () => {
    const last = read;
    read = sockets.reduce((sum, { bytesRead }) => sum + bytesRead, 0);
    unchanged = read > 0 && read === last ? unchanged + 1 : 0;
    return unchanged === 30; // 0.3 s
  });
  server.off('connection', count);
}

function heapMb(): number {
  setFlagsFromString('--expose-gc');
  (runInNewContext('gc') as () => void)();
  const { heapUsed, external } = process.memoryUsage();
  return (heapUsed + external) / 1_000_000;
}
