import { connect } from 'node:net';
import { sql } from 'slonik';
import { z } from 'zod';
import { ownService, test } from '../../test/support/context.ts';
import {
  blockOrderOf,
  KETTLE,
  ONE_LONG_BATCH,
  storedWithJob,
  twoCustomers,
  waitingAt,
  type Customer,
} from '../../test/support/intake.ts';
import { startApiProcess } from '../../test/support/processes.ts';
import { testEnvironment } from '../../test/support/template.ts';
import { until } from '../../test/support/until.ts';
import type { Deps } from '../deps.ts';

// Orders that wait for the next batch. The blocked batch waits for its lock for 9 s, and then fails. The tests are
// serial, so that each releases the lock in time on a slow machine too.

test.serial(
  'when as many orders wait as allowed, the next one is refused, and the others are placed',
  async (t) => {
    const settings = { ...ONE_LONG_BATCH, INTAKE_QUEUE_MAX: '10' };
    const { origin, internal, deps, database } = await ownService(t, settings);
    const [busy, user] = await twoCustomers({ deps, origin });
    const { release } = await blockOrderOf(t, database, busy);
    const waiting = Array.from({ length: 10 }, () => user.request('POST', '/orders', KETTLE));
    await waitingAt(internal, 10);

    const refused = await user.request('POST', '/orders', KETTLE);
    await release();
    const replies = await Promise.all(waiting);

    t.is(refused.status, 503);
    t.is(refused.body.type, '/problems/overloaded');
    t.regex(refused.headers.get('retry-after') ?? '', /^\d+$/);
    t.true(replies.every(({ status }) => status === 201));
    t.is((await user.request('POST', '/orders', KETTLE)).status, 201, 'there is room again');
    t.is((await storedWithJob(deps, user)).length, 11);
  },
);

test.serial('an order whose client disconnects before its turn is not placed', async (t) => {
  const { origin, internal, deps, database } = await ownService(t, ONE_LONG_BATCH);
  const [busy, user] = await twoCustomers({ deps, origin });
  const { release } = await blockOrderOf(t, database, busy);
  const socket = sendRaw(origin, user);
  await waitingAt(internal, 1);

  socket.destroy();
  const other = user.request('POST', '/orders', { ...KETTLE, product_name: 'Lamp' });
  await waitingAt(internal, 2);
  await release();

  t.is((await other).status, 201);
  t.deepEqual(await productsOf(deps, user), ['Lamp']);
});

test.serial(
  'an API that is stopped while orders wait places them, and replies to every client',
  async (t) => {
    const { deps, database } = await ownService(t);
    const api = await startApiProcess(t, testEnvironment(database, ONE_LONG_BATCH));
    const { origin, internal } = api;
    const [busy, user] = await twoCustomers({ deps, origin });
    const { release, blocked } = await blockOrderOf(t, database, busy);
    const waiting = Array.from({ length: 20 }, () => user.request('POST', '/orders', KETTLE));
    await waitingAt(internal, 20);

    api.send('SIGTERM');
    await until('the API to be stopping', () => api.logged('api stopping').length > 0);
    await release();
    const replies = await Promise.all([blocked, ...waiting]);
    const { code } = await api.ended;

    t.true(replies.every(({ status }) => status === 201));
    t.is(code, 0);
    const stored = [await storedWithJob(deps, busy), await storedWithJob(deps, user)].flat();
    const acknowledged = replies.map(({ body }): string => body.id);
    t.deepEqual(acknowledged.sort(), stored.sort());
  },
);

async function productsOf({ pool }: Pick<Deps, 'pool'>, { id }: Customer): Promise<string[]> {
  const Row = z.object({ product_name: z.string() });
  const names = await pool.anyFirst(sql.type(Row)`
    SELECT product_name FROM orders WHERE user_id = ${id} ORDER BY id
  `);
  return [...names];
}

/** Sends an order over a connection that the test can close. */
function sendRaw(origin: string, { token }: Customer) {
  const { hostname, port, host } = new URL(origin);
  const body = JSON.stringify(KETTLE);
  const socket = connect(Number(port), hostname);
  socket.write(
    `POST /orders HTTP/1.1\r\nHost: ${host}\r\nAuthorization: Bearer ${token}\r\n` +
      `Content-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
  );
  return socket;
}
