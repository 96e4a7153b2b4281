/*
 * (d) The floor of latency: what pgbench would do, in a tight loop of Node with prepared statements, so
 * that a clean clone needs no pgbench. One order and its job in a transaction of four round trips, in our
 * schema with all its triggers, in the role of the API; no HTTP, no JSON, no validation, no queue library.
 */
import type { Client } from 'pg';
import { randomUUIDv7 } from 'node:crypto';
import { connect } from '../databases.ts';
import type { Machine } from '../machine.ts';

export const DIRECT_SQL = 'Direct SQL, one transaction per order';
const DATABASE = 'orders_direct';
const USER_ID = '01890a5d-ac96-774b-bcce-b302099a8057';

const INSERT_USER = `
  INSERT INTO users (id, name, email, password_hash)
  VALUES ('${USER_ID}', 'Bench', 'bench@example.test', 'none') ON CONFLICT DO NOTHING`;

const INSERT_ORDER = {
  name: 'insert-order',
  text: `
    WITH acting AS MATERIALIZED (SELECT set_config('oms.actor', 'user', true))
    INSERT INTO orders (id, user_id, product_name, amount, currency, metadata)
    SELECT $1::uuid, $2::uuid, $3, $4::numeric, 'USD', '{}' FROM acting
    RETURNING created_at, xact_id`,
};

const INSERT_JOB = {
  name: 'insert-job',
  text: `
    INSERT INTO pgboss.job (id, name, data, retry_limit, retry_delay, retry_backoff, retry_delay_max,
      expire_seconds, deletion_seconds, keep_until, policy, dead_letter, heartbeat_seconds)
    SELECT $1::uuid, q.name, jsonb_build_object('order_id', $1::uuid, 'xact_id', $2::text),
      q.retry_limit, q.retry_delay, q.retry_backoff, q.retry_delay_max, q.expire_seconds,
      q.deletion_seconds, now() + q.retention_seconds * interval '1 second', q.policy,
      q.dead_letter, q.heartbeat_seconds
    FROM pgboss.queue AS q WHERE q.name = 'process-order'`,
};

/**
 * Places orders for so long over so many connections, each as fast as it goes. Returns how many milliseconds
 * each transaction took.
 */
export async function placeDirectly(
  machine: Machine,
  { connections, seconds }: { connections: number; seconds: number },
): Promise<number[]> {
  const { env } = await machine.service(DATABASE);
  await machine.query(INSERT_USER, DATABASE);
  const latencies: number[] = [];
  const end = performance.now() + seconds * 1000;
  async function connection(): Promise<void> {
    const db = await connect(env('api').DATABASE_URL ?? '');
    try {
      while (performance.now() < end) {
        const started = performance.now();
        await placeOne(db);
        latencies.push(performance.now() - started);
      }
    } finally {
      await db.end();
    }
  }
  await Promise.all(Array.from({ length: connections }, connection));
  return latencies;
}

async function placeOne(db: Client): Promise<void> {
  const id = randomUUIDv7();
  await db.query('BEGIN');
  const { rows } = await db.query<{ xact_id: string }>({
    ...INSERT_ORDER,
    values: [id, USER_ID, 'Book', '99.00'],
  });
  await db.query({ ...INSERT_JOB, values: [id, rows[0]?.xact_id] });
  await db.query('COMMIT');
}

/** Places some orders and checks that each is there with its job. */
export async function verifyDirectSql(machine: Machine): Promise<void> {
  const count = `SELECT count(*)::int AS pairs FROM orders AS o
    JOIN pgboss.job AS j ON j.name = 'process-order' AND j.id = o.id AND j.state = 'created'`;
  await placeDirectly(machine, { connections: 1, seconds: 0 });
  const [before] = await machine.query<{ pairs: number }>(count, DATABASE);
  const placed = await placeDirectly(machine, { connections: 2, seconds: 0.2 });
  const [after] = await machine.query<{ pairs: number }>(count, DATABASE);
  const added = (after?.pairs ?? 0) - (before?.pairs ?? 0);
  if (placed.length === 0 || added !== placed.length) {
    throw new Error(`${DIRECT_SQL}: ${placed.length} placed, ${added} there with their jobs`);
  }
}
