import { once } from 'node:events';
import { connect } from 'node:net';
import { PassThrough } from 'node:stream';
import { gzipSync } from 'node:zlib';
import Koa from 'koa';
import { pino } from 'pino';
import { createMetrics } from '../metrics.ts';
import { signUp, test } from '../../test/support/context.ts';
import { jsonBody } from './body.ts';
import { problemDetails } from './problem.ts';
import { requestLog } from './request-log.ts';
import { closeServer, portOf, serve } from './server.ts';
import type { AppState } from './state.ts';

const JSON_TYPE = { 'content-type': 'application/json' };

test('a body over 100 kB is refused with 413, with or without a Content-Length', async (t) => {
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

test('a body is refused with 415 unless it is application/json without a content encoding', async (t) => {
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

test('a body that is not valid JSON is refused with 400', async (t) => {
  const user = await signUp(t.context);
  const bodies = ['{"product_name":', '{"amount": 1e}', "{'amount': 1}", '\u0000', '{}{}', 'NaN'];

  for (const body of bodies) {
    const reply = await user.request('POST', '/orders', body);
    t.is(reply.status, 400, body);
    t.like(reply.body, { title: 'Bad Request', detail: 'The body is not valid JSON.' }, body);
  }
});

test('a body that is not valid UTF-8 is refused with 400', async (t) => {
  const user = await signUp(t.context);
  const body = Buffer.from('{"product_name":"Kettl\xe9","amount":"1.00"}', 'latin1');

  const headers = { ...JSON_TYPE, authorization: `Bearer ${user.token}` };
  const reply = await fetch(`${t.context.origin}/orders`, { method: 'POST', headers, body });

  t.is(reply.status, 400);
});

test('a number that cannot be stored exactly is refused, not rounded', async (t) => {
  const user = await signUp(t.context);

  for (const amount of ['1e309', '-1e309', '0.10000000000000000001', '9007199254740993']) {
    const body = `{"product_name":"Kettle","amount":${amount}}`;
    const reply = await user.request('POST', '/orders', body);
    t.is(reply.status, 422, amount);
    t.is(reply.body.errors[0].pointer, '#/amount', amount);
  }
  const { body } = await user.request('GET', '/orders');
  t.deepEqual(body.orders, []);
});

test('a deeply nested body never causes a server error', async (t) => {
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

test('a request without its body is refused with a pointer to each required field', async (t) => {
  const user = await signUp(t.context);

  const nothing = await user.request('POST', '/orders');
  const empty = await user.request('POST', '/orders', '', JSON_TYPE);

  for (const { status, body } of [nothing, empty]) {
    t.is(status, 422);
    const pointers = body.errors.map(({ pointer }: { pointer: string }) => pointer).sort();
    t.deepEqual(pointers, ['#/amount', '#/product_name']);
  }
});

test('a request whose client disconnects in the middle of the body ends with 499 in the log', async (t) => {
  const lines = new PassThrough();
  const app = new Koa<AppState>();
  app.use(requestLog(pino({ level: 'info' }, lines), createMetrics()));
  app.use(problemDetails()).use(jsonBody());
  const server = await serve(app, 0, '127.0.0.1');
  t.teardown(() => closeServer(server, 1));

  const socket = connect(portOf(server), '127.0.0.1');
  const head = 'POST / HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n';
  socket.write(`${head}Content-Length: 50\r\n\r\n{"product`);
  await once(server, 'request');
  socket.destroy();
  const [line] = (await once(lines, 'data')) as [Buffer];

  t.like(JSON.parse(String(line)), { status: 499, route: 'none', msg: 'request ended' });
});
