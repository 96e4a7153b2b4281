import { connect } from 'node:net';
import { PassThrough } from 'node:stream';
import { text } from 'node:stream/consumers';
import { gzipSync } from 'node:zlib';
import { pino } from 'pino';
import { openPool } from '../db/pool.ts';
import { logIn, PASSWORD, refresh, refreshTokenOf, register } from '../../test/support/accounts.ts';
import { emptyDatabase, send, signUp, test, withDeps } from '../../test/support/context.ts';
import { testConfig } from '../../test/support/template.ts';
import { problems } from './problem.ts';

const JSON_TYPE = { 'content-type': 'application/json' };

test('a path that leads nowhere is a 404 problem', async (t) => {
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

test('a method that a path does not have is a 405 problem that lists those it has', async (t) => {
  const reply = await send(t.context.origin, 'DELETE', '/orders');

  t.is(reply.status, 405);
  t.like(reply.body, { type: 'about:blank', title: 'Method Not Allowed', status: 405 });
  t.deepEqual(reply.headers.get('allow')?.split(', ').sort(), ['GET', 'HEAD', 'POST']);
});

test('a body over 100 kB is refused, with its length announced or not', async (t) => {
  const user = await signUp(t.context);
  const body = JSON.stringify({ product_name: 'x'.repeat(100_000), amount: '1.00' });

  const announced = await user.request('POST', '/orders', body);
  const chunked = await fetch(`${t.context.origin}/orders`, {
    method: 'POST',
    headers: { ...JSON_TYPE, authorization: `Bearer ${user.token}` },
    body: new Blob([body]).stream(),
    duplex: 'half',
  });

  t.is(announced.status, 413);
  t.like(announced.body, { title: 'Payload Too Large', status: 413 });
  t.is(chunked.status, 413);
  t.is(chunked.headers.get('content-type'), 'application/problem+json');
});

test('a body that is not JSON in plain sight is refused with 415', async (t) => {
  const user = await signUp(t.context);
  const order = JSON.stringify({ product_name: 'Kettle', amount: '1.00' });
  const post = async (body: string | Uint8Array<ArrayBuffer>, headers: Record<string, string>) => {
    const authorization = `Bearer ${user.token}`;
    const options = { method: 'POST', body, headers: { ...headers, authorization } };
    return (await fetch(`${t.context.origin}/orders`, options)).status;
  };

  t.is(await post(order, { 'content-type': 'text/plain' }), 415);
  t.is(await post(order, { 'content-type': 'application/x-www-form-urlencoded' }), 415);
  t.is(await post(order, { 'content-type': 'application/jsonp' }), 415);
  t.is(await post(Buffer.from(order), {}), 415);
  t.is(await post(gzipSync(order), { ...JSON_TYPE, 'content-encoding': 'gzip' }), 415);
  t.is(await post(order, { 'content-type': 'application/json; charset=utf-8' }), 201);
});

test('a body that does not parse is refused with 400', async (t) => {
  const user = await signUp(t.context);
  const bodies = ['{"product_name":', '{"amount": 1e}', "{'amount': 1}", '\u0000', '{}{}', 'NaN'];

  for (const body of bodies) {
    const reply = await user.request('POST', '/orders', body);
    t.is(reply.status, 400, body);
    t.like(reply.body, { title: 'Bad Request', detail: 'The body is not valid JSON.' }, body);
  }
});

test('bytes that are not UTF-8 are refused with 400', async (t) => {
  const user = await signUp(t.context);
  const body = Buffer.from('{"product_name":"Kettl\xe9","amount":"1.00"}', 'latin1');

  const headers = { ...JSON_TYPE, authorization: `Bearer ${user.token}` };
  const reply = await fetch(`${t.context.origin}/orders`, { method: 'POST', headers, body });

  t.is(reply.status, 400);
});

test('a number that cannot be stored as it was written is refused, not rounded', async (t) => {
  const user = await signUp(t.context);

  for (const amount of ['1e309', '-1e309', '0.10000000000000000001', '9007199254740993']) {
    const body = `{"product_name":"Kettle","amount":${amount}}`;
    const reply = await user.request('POST', '/orders', body);
    t.is(reply.status, 422, amount);
    t.is(reply.body.errors[0].pointer, '/amount', amount);
  }
  const { body } = await user.request('GET', '/orders');
  t.deepEqual(body.orders, []);
});

test('a body nested without end is refused like any other', async (t) => {
  const user = await signUp(t.context);

  for (const depth of [1000, 4000, 16_000, 49_000]) {
    const nested = '['.repeat(depth) + ']'.repeat(depth);
    const bare = await user.request('POST', '/orders', nested);
    const inside = `{"product_name":"Kettle","amount":"1.00","metadata":{"a":${nested}}}`;
    const within = await user.request('POST', '/orders', inside);
    t.true([400, 422].includes(bare.status), `${depth}: ${bare.status}`);
    t.true([201, 400, 422].includes(within.status), `${depth}: ${within.status}`);
  }
});

test('a request without the body that it needs is told what is missing', async (t) => {
  const user = await signUp(t.context);

  const nothing = await user.request('POST', '/orders');
  const empty = await user.request('POST', '/orders', '', JSON_TYPE);

  for (const { status, body } of [nothing, empty]) {
    t.is(status, 422);
    const pointers = body.errors.map(({ pointer }: { pointer: string }) => pointer).sort();
    t.deepEqual(pointers, ['/amount', '/product_name']);
  }
});

test('a request keeps the id that its sender gave it, and gets one when it has none', async (t) => {
  const withId = (id: string) =>
    send(t.context.origin, 'GET', '/livez', { headers: { 'x-request-id': id } });

  const given = await withId('order-17:retry.2');
  const without = await send(t.context.origin, 'GET', '/livez');

  t.is(given.headers.get('x-request-id'), 'order-17:retry.2');
  t.regex(without.headers.get('x-request-id') ?? '', /^[0-9a-f-]{36}$/);
});

test('a request id that could do harm in a log is replaced', async (t) => {
  const { origin } = t.context;

  for (const id of ['<script>', 'a b', '{"level":60}', 'x'.repeat(129), '\u00e9', 'a\tb']) {
    const reply = await send(origin, 'GET', '/nowhere', { headers: { 'x-request-id': id } });
    t.regex(reply.headers.get('x-request-id') ?? '', /^[0-9a-f-]{36}$/, id);
    t.is(reply.body.request_id, reply.headers.get('x-request-id'), id);
  }
});

test('every answer carries the headers that browsers protect their users by', async (t) => {
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

test('an error of our own shows nothing of its inside to the client, and all of it to the log', async (t) => {
  const user = await signUp(t.context);
  const log = captureLog();
  const config = testConfig(await emptyDatabase(t)); // no tables: a query fails as no test could fake
  const pool = await openPool(config, t.context.deps.log);
  t.teardown(() => pool.end());
  const service = await withDeps(t, { pool, log: log.logger });

  const headers = { authorization: `Bearer ${user.token}`, 'x-request-id': 'the-bad-one' };
  const reply = await send(service.origin, 'GET', '/orders', { headers });

  t.is(reply.status, 500);
  t.deepEqual(reply.body, {
    type: 'about:blank',
    title: 'Internal Server Error',
    status: 500,
    instance: '/orders',
    request_id: 'the-bad-one',
  });
  const failed = (await log.lines()).find(({ msg }) => msg === 'request failed');
  t.like(failed, { request_id: 'the-bad-one', user_id: user.id, level: 50 });
  t.regex(JSON.stringify(failed?.err), /relation .*orders.* does not exist.*"stack"/);
});

test('the log names requests, users and orders, and no password or token', async (t) => {
  const log = captureLog();
  const service = await withDeps(t, { log: log.logger });
  const { email, id } = (await register(service)).body;
  const login = await logIn(service, email);
  const wrong = await logIn(service, email, 'another-secret-phrase');
  const renewed = await refresh(service, refreshTokenOf(login));
  const headers = { authorization: `Bearer ${login.body.access_token}`, 'x-request-id': 'r-9' };
  const body = { product_name: 'Kettle', amount: '1.00' };
  const order = await send(service.origin, 'POST', '/orders', { headers, body });

  const lines = await log.lines();

  t.deepEqual([login.status, wrong.status, renewed.status, order.status], [200, 401, 200, 201]);
  const order_id = order.body.id;
  const placed = lines.find(({ request_id }) => request_id === 'r-9');
  t.like(placed, { user_id: id, order_id, job_id: order_id, status: 201, route: '/orders' });
  const everything = JSON.stringify(lines);
  const secrets = [PASSWORD, 'another-secret-phrase', login.body.access_token];
  secrets.push(refreshTokenOf(login), refreshTokenOf(renewed), renewed.body.access_token);
  for (const secret of secrets) t.false(everything.includes(secret));
});

test('bytes that are not HTTP are answered with a problem all the same', async (t) => {
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

test('the address of a problem leads to its description', async (t) => {
  const all = await send(t.context.origin, 'GET', '/problems');

  t.is(all.body.length, Object.keys(problems).length);
  for (const [slug, { status, title }] of Object.entries(problems)) {
    const reply = await send(t.context.origin, 'GET', `/problems/${slug}`);
    t.is(reply.status, 200, slug);
    t.like(reply.body, { status, title }, slug);
  }
});

function captureLog() {
  const stream = new PassThrough();
  const lines = async (): Promise<Record<string, unknown>[]> => {
    stream.end();
    const written = await text(stream);
    return written.split('\n').flatMap((line) => (line ? [JSON.parse(line)] : []));
  };
  return { logger: pino({ level: 'info' }, stream), lines };
}

/** Sends bytes as they are and reads until the other side hangs up. */
async function sendRaw(port: string, bytes: string): Promise<string> {
  const socket = connect(Number(port), '127.0.0.1');
  socket.write(bytes, 'latin1');
  return text(socket);
}
