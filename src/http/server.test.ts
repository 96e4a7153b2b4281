import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { send, test } from '../../test/support/context.ts';

test('a malformed or unsupported HTTP request gets problem details', async (t) => {
  const { port } = new URL(t.context.origin);
  const garbage = await sendRaw(
    port,
    '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03garbage\r\n\r\n',
  );
  const twoLengths =
    'POST /orders HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n{}';
  const smuggled = await sendRaw(port, twoLengths);
  const huge = await sendRaw(port, `GET / HTTP/1.1\r\nHost: x\r\nX: ${'x'.repeat(20_000)}\r\n\r\n`);

  for (const [reply, status] of [
    [garbage, 400],
    [smuggled, 400],
    [huge, 431],
    [await sendRaw(port, 'GET http://[::1 HTTP/1.1\r\nHost: x\r\n\r\n'), 400],
    [await sendRaw(port, 'POST http:// HTTP/1.1\r\nHost: x\r\n\r\n'), 400],
    [await sendRaw(port, 'GET /livez HTTP/1.1\r\n\r\n'), 400],
    [await sendRaw(port, 'GET /livez HTTP/1.1\r\nHost: x\r\nExpect: banana\r\n\r\n'), 417],
  ] as const) {
    const [head = '', body = ''] = reply.split('\r\n\r\n');
    t.true(head.startsWith(`HTTP/1.1 ${status} `), head);
    t.regex(head, /\r\nContent-Type: application\/problem\+json\r\n/);
    t.like(JSON.parse(body), { type: 'about:blank', status });
  }
  t.is((await send(t.context.origin, 'GET', '/livez')).status, 200);
});

/** Sends bytes unchanged. Returns all that the server sends until it closes the connection. */
async function sendRaw(port: string, bytes: string): Promise<string> {
  const socket = connect(Number(port), '127.0.0.1');
  socket.write(bytes, 'latin1');
  return text(socket);
}
