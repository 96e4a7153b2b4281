import { Redis } from 'ioredis';
import type { Environment } from '../../src/config/load.ts';
import { wakeUpChannel } from '../../src/redis/wake-ups.ts';
import { registerAndLogIn } from '../../test/support/accounts.ts';
import { connect } from '../databases.ts';
import { ORDER_BODY, type Api, type QueueContestant } from '../contestant.ts';
import type { Machine } from '../machine.ts';
import { SERVICE_FLAGS, type Process } from '../process.ts';

type Setup = {
  name: string;
  database: string;
  /** Settings that differ from the defaults. */
  settings?: Environment;
  /** The module of the API. */
  module?: string;
};

/** The service with some settings, in a database of its own. */
export function serviceContestant({
  name,
  database,
  settings = {},
  module = 'src/api.ts',
}: Setup): QueueContestant {
  return {
    name,
    database,
    roles: ['oms_api', 'oms_worker'],
    async api(machine) {
      const { env } = await machine.service(database);
      const api = await machine.start(
        `${name}, API`,
        module,
        { ...env('api'), ...settings },
        SERVICE_FLAGS,
      );
      return { ...api, ...(await userRequest(machine, database, api)) };
    },
    async worker(machine) {
      const { env } = await machine.service(database);
      return machine.start(`${name}, worker`, 'src/worker.ts', { ...env('worker'), ...settings });
    },
    fill: (machine, orders) => placeInBulk(machine, database, orders),
    async left(machine) {
      const jobs = `SELECT count(*)::int AS left FROM order_jobs WHERE state < 'completed'`;
      return (await machine.query<{ left: number }>(jobs, database))[0]?.left ?? 0;
    },
    async clear(machine) {
      await machine.service(database);
      await machine.query(CLEAR, database);
    },
  };
}

type Headers = Record<string, string>;

const users = new WeakMap<Machine, Map<string, Headers>>();

/** Registers a user the first time. Its token is valid for a day. */
async function userRequest(
  machine: Machine,
  database: string,
  { origin }: Process,
): Promise<Pick<Api, 'headers' | 'body' | 'path'>> {
  const known = users.get(machine) ?? new Map<string, Headers>();
  users.set(machine, known);
  const headers = known.get(database) ?? (await userHeaders(origin));
  known.set(database, headers);
  return { headers, body: ORDER_BODY, path: '/orders' };
}

/** Registers a user and logs in. Returns the headers of the requests of that user. */
export async function userHeaders(origin: string): Promise<Headers> {
  return { 'content-type': 'application/json', ...(await registerAndLogIn({ origin })) };
}

// Calls the function that the API calls, in batches of the largest size that the API uses. It sets no lock timeout,
// because that would also end an ANALYZE of the same transaction that waits for autovacuum.
const PLACE_IN_BULK = `
  SELECT sum(p.placed)::int AS placed
  FROM (
    SELECT jsonb_agg(jsonb_build_object(
      'id', uuid_v7(), 'user_id', (SELECT id FROM users ORDER BY id LIMIT 1), 'product_name', 'Book',
      'amount', '99.00', 'currency', 'USD', 'metadata', '{}'::jsonb
    )) AS orders
    FROM generate_series(1, $1) AS n
    GROUP BY (n - 1) / 500
  ) AS batch
  CROSS JOIN LATERAL place_orders(batch.orders, NULL, NULL) AS p`;

const SOME_USER = `
  INSERT INTO users (id, name, email, password_hash)
  VALUES (uuid_v7(), 'Bench', 'bench@example.test', 'none') ON CONFLICT DO NOTHING`;

/** Places orders and leaves the transaction open. Returns a function that commits it and wakes the workers. */
async function placeInBulk(
  machine: Machine,
  database: string,
  orders: number,
): Promise<() => Promise<void>> {
  const { databaseUrl } = await machine.service(database);
  const db = await connect(databaseUrl);
  await db.query(SOME_USER);
  await db.query('BEGIN');
  await db.query(PLACE_IN_BULK, [orders]);
  await db.query('ANALYZE orders, order_events, pgboss.job'); // as autovacuum does within a minute
  return async () => {
    await db.query('COMMIT');
    await wakeWorkers(machine, database);
    await db.end();
  };
}

/** Publishes the wake-up that an API publishes after a commit. */
export async function wakeWorkers(machine: Machine, database: string): Promise<void> {
  const redis = new Redis(machine.redisUrl);
  await redis.publish(wakeUpChannel({ REDIS_PREFIX: database }), 'process-order');
  redis.disconnect();
}

// Triggers are off, because they refuse to delete events and orders.
const CLEAR = `
  SET session_replication_role = replica;
  TRUNCATE orders, order_events, idempotency_keys, running_batches, pgboss.job`;
