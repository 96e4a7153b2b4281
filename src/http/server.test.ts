import { once } from 'node:events';
import { test } from '../../test/support/context.ts';
import { exchange, openSocket } from '../../test/support/raw-http.ts';

const HOST = 'Host: x\r\n';
const JSON_IDENTITY = `${HOST}Content-Type: Application/JSON\r\nContent-Encoding: IDENTITY\r\n`;
const CHUNKED = `${HOST}Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n`;

/** Requests that are malformed or not supported, and the status that each gets. */
const REFUSED: [what: string, bytes: string, status: number][] = [
  ['a TLS handshake', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03garbage\r\n\r\n', 400],
  ['two lengths', `POST / HTTP/1.1\r\n${HOST}Content-Length: 1\r\nContent-Length: 2\r\n\r\n`, 400],
  ['a length with a sign', `POST / HTTP/1.1\r\n${HOST}Content-Length: +1\r\n\r\n1`, 400],
  ['a length and chunks', `POST / HTTP/1.1\r\n${CHUNKED}Content-Length: 2\r\n\r\n`, 400],
  ['chunks twice', `POST / HTTP/1.1\r\n${CHUNKED}Transfer-Encoding: chunked\r\n\r\n`, 400],
  ['chunks in HTTP/1.0', `POST / HTTP/1.0\r\n${CHUNKED}\r\n0\r\n\r\n`, 400],
  ['a bad chunk', `POST /auth/login HTTP/1.1\r\n${CHUNKED}\r\nZZ\r\n`, 400],
  [
    'a coding before chunks',
    `POST / HTTP/1.1\r\n${HOST}Transfer-Encoding: gzip, chunked\r\n\r\n`,
    501,
  ],
  ['an unknown coding', `POST / HTTP/1.1\r\n${HOST}Transfer-Encoding: identity\r\n\r\n`, 501],
  ['a long header', `GET / HTTP/1.1\r\n${HOST}X: ${'x'.repeat(20_000)}\r\n\r\n`, 431],
  ['a long target', `GET /${'x'.repeat(20_000)} HTTP/1.1\r\n${HOST}\r\n`, 414],
  ['a folded header', `GET / HTTP/1.1\r\n${HOST}X: a\r\n b\r\n\r\n`, 400],
  ['a space before the colon', `GET / HTTP/1.1\r\n${HOST}X : a\r\n\r\n`, 400],
  ['NUL in a header', `GET / HTTP/1.1\r\n${HOST}X: a\0b\r\n\r\n`, 400],
  ['lines without CR', 'GET / HTTP/1.1\nHost: x\n\n', 400],
  ['no Host', 'GET /livez HTTP/1.1\r\n\r\n', 400],
  ['two Hosts', `GET /livez HTTP/1.1\r\n${HOST}${HOST}\r\n`, 400],
  ['a malformed Host', 'GET /livez HTTP/1.1\r\nHost: a b\r\n\r\n', 400],
  [
    'two Authorizations',
    `GET / HTTP/1.1\r\n${HOST}Authorization: a\r\nAuthorization: b\r\n\r\n`,
    400,
  ],
  ['two Content-Types', `GET / HTTP/1.1\r\n${HOST}Content-Type: a\r\ncontent-type: b\r\n\r\n`, 400],
  ['half an IPv6 address', `GET http://[::1 HTTP/1.1\r\n${HOST}\r\n`, 400],
  ['a URL without a host', `POST http:// HTTP/1.1\r\n${HOST}\r\n`, 400],
  ['a URL of another scheme', `GET ftp://x/livez HTTP/1.1\r\n${HOST}\r\n`, 400],
  ['a star that is not for OPTIONS', `GET * HTTP/1.1\r\n${HOST}\r\n`, 400],
  ['an unknown method', `FETCH / HTTP/1.1\r\n${HOST}\r\n`, 501],
  ['TRACE', `TRACE / HTTP/1.1\r\n${HOST}\r\n`, 501],
  ['CONNECT', `CONNECT x:443 HTTP/1.1\r\n${HOST}\r\n`, 501],
  ['HTTP/2.0', `GET / HTTP/2.0\r\n${HOST}\r\n`, 505],
  ['the preface of HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 400],
  ['HTTP/1.2', `GET / HTTP/1.2\r\n${HOST}\r\n`, 505],
  ['another expectation', `GET /livez HTTP/1.1\r\n${HOST}Expect: banana\r\n\r\n`, 417],
];

for (const [what, bytes, status] of REFUSED) {
  test(`a request with ${what} gets problem details with ${status}`, async (t) => {
    const [reply] = await exchange(t.context.origin, bytes);

    t.is(reply?.status, status);
    t.is(reply?.headers.get('content-type'), 'application/problem+json');
    t.like(JSON.parse(reply?.body ?? ''), { type: 'about:blank', status });
  });
}

/** Unusual requests that RFC 9110 and RFC 9112 allow, and the status that each gets. */
const ACCEPTED: [what: string, bytes: string, status: number][] = [
  ['HTTP/1.0 without Host', 'GET /livez HTTP/1.0\r\n\r\n', 200],
  ['OPTIONS for the server', `OPTIONS * HTTP/1.1\r\n${HOST}\r\n`, 200],
  ['OPTIONS for a route', `OPTIONS /orders HTTP/1.1\r\n${HOST}\r\n`, 200],
  ['a whole URL', `GET http://orders.example/livez HTTP/1.1\r\n${HOST}\r\n`, 200],
  ['a whole URL without a path', `GET HTTPS://orders.example:443?x=1 HTTP/1.1\r\n${HOST}\r\n`, 200],
  ['an empty Host', 'GET /livez HTTP/1.1\r\nHost:\r\n\r\n', 200],
  ['an IPv6 Host', 'GET /livez HTTP/1.1\r\nHost: [::1]:8000\r\n\r\n', 200],
  ['an empty line first', `\r\nGET /livez HTTP/1.1\r\n${HOST}\r\n`, 200],
  [
    'an Upgrade to h2c',
    `GET /livez HTTP/1.1\r\n${HOST}Connection: upgrade\r\nUpgrade: h2c\r\n\r\n`,
    200,
  ],
  [
    'a body that GET does not need',
    `GET /livez HTTP/1.1\r\n${HOST}Content-Length: 2\r\n\r\n{}`,
    200,
  ],
  [
    'chunks and nothing in them',
    `POST /auth/logout HTTP/1.1\r\n${HOST}Transfer-Encoding: Chunked\r\n\r\n0\r\n\r\n`,
    204,
  ],
  [
    'an identity coding',
    `POST /auth/logout HTTP/1.1\r\n${JSON_IDENTITY}Content-Length: 2\r\n\r\n{}`,
    204,
  ],
];

for (const [what, bytes, status] of ACCEPTED) {
  test(`a request with ${what} gets ${status}`, async (t) => {
    const [reply] = await exchange(t.context.origin, bytes);

    t.is(reply?.status, status);
  });
}

test('malformed bytes are refused after the replies to the requests before them', async (t) => {
  const valid = `GET /livez HTTP/1.1\r\n${HOST}\r\n`;
  const replies = await exchange(t.context.origin, `${valid}${valid}garbage\r\n\r\n`, 3);

  t.deepEqual(
    replies.map(({ status }) => status),
    [200, 200, 400],
  );
});

test('a waiting request whose body turns out to be malformed gets 400 in its turn', async (t) => {
  const valid = `GET /livez HTTP/1.1\r\n${HOST}\r\n`;
  const bad = `POST /auth/login HTTP/1.1\r\n${CHUNKED}\r\nZZ\r\n`;
  const replies = await exchange(t.context.origin, `${valid}${bad}`, 2);

  t.deepEqual(
    replies.map(({ status }) => status),
    [200, 400],
  );
});

test('a request to become a tunnel is refused after the replies to the requests before it', async (t) => {
  const valid = `GET /livez HTTP/1.1\r\n${HOST}\r\n`;
  const replies = await exchange(
    t.context.origin,
    `${valid}${valid}CONNECT x:443 HTTP/1.1\r\n${HOST}\r\n`,
    3,
  );

  t.deepEqual(
    replies.map(({ status }) => status),
    [200, 200, 501],
  );
});

for (const [what, bytes] of [
  ['a request to become a tunnel', `CONNECT x:443 HTTP/1.1\r\n${HOST}\r\n`],
  ['an Upgrade', `GET /livez HTTP/1.1\r\n${HOST}Connection: upgrade\r\nUpgrade: h2c\r\n\r\n`],
  ['malformed bytes', 'garbage\r\n\r\n'],
  ['a request', `GET /livez HTTP/1.1\r\n${HOST}\r\n`],
] as const) {
  test(`a connection that is reset right after ${what} does not end the process`, async (t) => {
    for (let resets = 0; resets < 20; resets += 1) {
      const socket = openSocket(t.context.origin);
      await once(socket, 'connect');
      socket.write(bytes, () => socket.resetAndDestroy());
      await once(socket, 'close');
    }

    const [reply] = await exchange(t.context.origin, `GET /livez HTTP/1.1\r\n${HOST}\r\n`);

    t.is(reply?.status, 200);
  });
}

for (const protocol of ['h2c', 'websocket']) {
  test(`an Upgrade to ${protocol} is ignored, and its reply ends the connection`, async (t) => {
    const upgrade = `Connection: upgrade\r\nUpgrade: ${protocol}\r\n`;
    const [reply] = await exchange(
      t.context.origin,
      `GET /livez HTTP/1.1\r\n${HOST}${upgrade}\r\n`,
      2,
    );

    t.is(reply?.status, 200);
    t.is(reply?.headers.get('connection'), 'close');
  });
}
