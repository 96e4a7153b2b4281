import { PassThrough } from 'node:stream';
import { text } from 'node:stream/consumers';
import { pino } from 'pino';
import { openPool } from '../db/pool.ts';
import { logIn, PASSWORD, refresh, refreshTokenOf, register } from '../../test/support/accounts.ts';
import { emptyDatabase, send, signUp, test, withDeps } from '../../test/support/context.ts';
import { testConfig } from '../../test/support/template.ts';

test('a request keeps the id that its client sent, and gets a new one if it has none', async (t) => {
  const withId = (id: string) =>
    send(t.context.origin, 'GET', '/livez', { headers: { 'x-request-id': id } });

  const given = await withId('order-17:retry.2');
  const without = await send(t.context.origin, 'GET', '/livez');

  t.is(given.headers.get('x-request-id'), 'order-17:retry.2');
  t.regex(without.headers.get('x-request-id') ?? '', /^[0-9a-f-]{36}$/);
});

test('a request id that is not safe to log is replaced', async (t) => {
  const { origin } = t.context;

  for (const id of ['<script>', 'a b', '{"level":60}', 'x'.repeat(129), '\u00e9', 'a\tb']) {
    const reply = await send(origin, 'GET', '/nowhere', { headers: { 'x-request-id': id } });
    t.regex(reply.headers.get('x-request-id') ?? '', /^[0-9a-f-]{36}$/, id);
    t.is(reply.body.request_id, reply.headers.get('x-request-id'), id);
  }
});

test('the log has the ids of requests, users and orders, but no password or token', async (t) => {
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

test('the log has the canonical address of the client', async (t) => {
  const log = captureLog();
  const config = { ...t.context.deps.config, TRUSTED_PROXIES: ['127.0.0.1'] };
  const { origin } = await withDeps(t, { log: log.logger, config });
  const spellings = ['[2001:DB8::1]:443', '::ffff:203.0.113.7', '203.0.113.8:80', 'junk'];

  for (const spelling of spellings)
    await send(origin, 'GET', '/livez', { headers: { 'x-forwarded-for': spelling } });

  const ips = (await log.lines()).flatMap(({ ip }) => (ip === undefined ? [] : [ip]));
  t.deepEqual(ips, ['2001:db8::1', '203.0.113.7', '203.0.113.8', '127.0.0.1']);
});

test('an internal error is hidden from the client, and the log has its cause and stack', async (t) => {
  const user = await signUp(t.context);
  const log = captureLog();
  const config = testConfig(await emptyDatabase(t)); // a database without tables, so that a real query fails
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

/** A log whose lines the test reads. */
function captureLog() {
  const stream = new PassThrough();
  const lines = async (): Promise<Record<string, unknown>[]> => {
    stream.end();
    const written = await text(stream);
    return written.split('\n').flatMap((line) => (line ? [JSON.parse(line)] : []));
  };
  return { logger: pino({ level: 'info' }, stream), lines };
}
