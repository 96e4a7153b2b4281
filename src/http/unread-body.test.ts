import { signUp, test } from '../../test/support/context.ts';
import { exchange, openSocket, parseReplies } from '../../test/support/raw-http.ts';
import { until } from '../../test/support/until.ts';

// A body is read only when its route needs it, its client is known, and the request was counted. Each of these requests
// announces a body that never comes: a service that waited for it would not reply.

const HEAD = 'Host: x\r\nContent-Type: application/json\r\nContent-Length: 50\r\n\r\n';

for (const [what, line, status] of [
  ['an unknown path', 'POST /nowhere', 404],
  ['a method that the path does not have', 'DELETE /orders', 405],
  ['no token', 'POST /orders', 401],
  ['no token, on an alias', 'POST /orders/create', 401],
  ['no token, to cancel', 'PUT /orders/01890000-0000-7000-8000-000000000000/cancellation', 401],
  ['a route that needs no body', 'GET /livez', 200],
] as const) {
  test(`a request with ${what} gets ${status} before its body arrives`, async (t) => {
    const [reply] = await exchange(t.context.origin, `${line} HTTP/1.1\r\n${HEAD}`);

    t.is(reply?.status, status);
  });
}

test('a body that nothing needs is skipped, and the connection stays usable', async (t) => {
  const post = `POST /nowhere HTTP/1.1\r\nHost: x\r\nContent-Length: 90000\r\n\r\n${'x'.repeat(90_000)}`;
  const get = 'GET /livez HTTP/1.1\r\nHost: x\r\n\r\n';

  const replies = await exchange(t.context.origin, post + get, 2);

  t.deepEqual(
    replies.map(({ status }) => status),
    [404, 200],
  );
});

for (const [what, framing] of [
  ['a length', 'Content-Length: 5000000000'],
  ['no length', 'Transfer-Encoding: chunked'],
] as const) {
  test(`a large body with ${what} that nothing needs ends the connection, after a bounded part`, async (t) => {
    const socket = openSocket(t.context.origin);
    t.teardown(() => socket.destroy());
    let text = '';
    socket.setEncoding('latin1').on('data', (more: string) => (text += more));
    socket.write(`POST /nowhere HTTP/1.1\r\nHost: x\r\n${framing}\r\n\r\n`);
    const chunk = `ffff\r\n${'x'.repeat(0xffff)}\r\n`;
    let sent = 0;
    const send = () => {
      while (socket.writable && socket.write(chunk)) sent += chunk.length;
    };
    socket.on('drain', send);
    send();
    await until('the end of the connection', () => socket.closed);

    const [reply] = parseReplies(text);
    t.is(reply?.status, 404);
    t.is(reply?.headers.get('connection'), 'close');
    t.true(sent < 100_000_000, `${sent} bytes`);
  });
}

test('a client that waits for 100 Continue sends no body that is not needed', async (t) => {
  const expecting = HEAD.replace('\r\n\r\n', '\r\nExpect: 100-continue\r\n\r\n');
  const user = await signUp(t.context);
  const authorized = `Authorization: Bearer ${user.token}\r\n${expecting}`;

  const [refused] = await exchange(t.context.origin, `POST /orders HTTP/1.1\r\n${expecting}`);
  const [asked] = await exchange(t.context.origin, `POST /orders HTTP/1.1\r\n${authorized}`);

  t.is(refused?.status, 401);
  t.is(refused?.headers.get('connection'), 'close');
  t.is(asked?.status, 100);
});

test('a body that turns out to be too large is refused while the client sends', async (t) => {
  const user = await signUp(t.context);
  const socket = openSocket(t.context.origin);
  t.teardown(() => socket.destroy());
  let text = '';
  socket.setEncoding('latin1').on('data', (more: string) => (text += more));
  const head = `Host: x\r\nAuthorization: Bearer ${user.token}\r\nContent-Type: application/json`;
  socket.write(`POST /orders HTTP/1.1\r\n${head}\r\nTransfer-Encoding: chunked\r\n\r\n`);
  socket.write(`1ffff\r\n${'1'.repeat(0x1ffff)}\r\n`);

  const [reply] = await until('the reply', () => {
    const replies = parseReplies(text);
    return replies.length > 0 && replies;
  });

  t.is(reply?.status, 413);
});
