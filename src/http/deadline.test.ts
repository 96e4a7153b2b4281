import { randomUUID } from 'node:crypto';
import { openSocket } from '../../test/support/raw-http.ts';
import { signUp, test, withSettings, type Context } from '../../test/support/context.ts';
import { stallingDatabase } from '../../test/support/stalling-database.ts';
import { databaseUrl } from '../../test/support/template.ts';
import { until } from '../../test/support/until.ts';
import { checkDeadlines } from './deadline.ts';
import type { BoundedResponse } from './response.ts';

const KETTLE = { product_name: 'Kettle', amount: '34.90' };
const SETTINGS = { REQUEST_TIMEOUT_SECONDS: '2', INTAKE_IN_FLIGHT_MAX: '1' };

test('a request that waits for a database that hangs gets 503, and so does one that waits behind it', async (t) => {
  const database = await stallingDatabase(t, databaseUrl(t.context.database));
  const service = await withSettings(t, { ...SETTINGS, DATABASE_URL: database.url });
  const user = await signUp({ deps: t.context.deps, origin: service.origin });
  database.stall('statement');

  const first = user.request('POST', '/orders', KETTLE);
  await until('the database to hang', database.isStalled);
  const second = user.request('POST', '/orders', KETTLE);

  for (const reply of await Promise.all([first, second])) {
    t.is(reply.status, 503);
    t.is(reply.body.type, '/problems/overloaded');
    t.regex(reply.headers.get('retry-after') ?? '', /^\d+$/);
  }
});

test('an order whose reply came too late is placed once, and its repeat gets the reply', async (t) => {
  const database = await stallingDatabase(t, databaseUrl(t.context.database));
  const service = await withSettings(t, { ...SETTINGS, DATABASE_URL: database.url });
  const user = await signUp(t.context);
  const there = { ...(await signUp({ deps: t.context.deps, origin: service.origin })) };
  const key = { 'idempotency-key': randomUUID(), authorization: `Bearer ${user.token}` };
  database.stall('answer');

  const late = await there.request('POST', '/orders', KETTLE, key);
  const repeated = await user.request('POST', '/orders', KETTLE, key);

  t.is(late.status, 503);
  t.is(repeated.status, 201);
  t.is(repeated.headers.get('idempotent-replayed'), 'true');
});

test('a client that disconnects while its request waits is counted with 499', async (t) => {
  const database = await stallingDatabase(t, databaseUrl(t.context.database));
  const service = await withSettings(t, { ...SETTINGS, DATABASE_URL: database.url });
  const user = await signUp({ deps: t.context.deps, origin: service.origin });
  database.stall('statement');
  const body = JSON.stringify(KETTLE);
  const socket = openSocket(service.origin);
  socket.write(
    `POST /orders HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${user.token}\r\n` +
      `Content-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
  );
  await until('the database to hang', database.isStalled);

  socket.destroy();

  const statuses = await until('the end of the request', async () => {
    const seen = await statusesOf(service);
    return seen.length > 0 && seen;
  });
  t.deepEqual(statuses, [499]);
});

test('a client that does not read its reply is disconnected, and one that has just got it is not', (t) => {
  const destroyed: string[] = [];
  const response = (name: string, sentMsAgo: number) =>
    ({
      since: performance.now() - sentMsAgo,
      waitsForClient: true,
      headersSent: true,
      socket: { destroy: () => destroyed.push(name) },
    }) as unknown as BoundedResponse;

  checkDeadlines([response('slow', 61_000), response('new', 1000)], 15);

  t.deepEqual(destroyed, ['slow']);
});

/** The statuses of requests that placed orders. */
async function statusesOf({ deps }: Pick<Context, 'deps'>): Promise<unknown[]> {
  const { values } = await deps.metrics.httpRequests.get();
  const counts = values.filter(
    ({ metricName, labels }) => metricName?.endsWith('_count') && labels.route === '/orders',
  );
  return counts.map(({ labels }) => labels.status);
}
