/*
 * The reference for latency: a service that is written by hand. It stores an order, its first event and its job in one
 * transaction, with prepared statements on one connection, in plain tables of its own. It has no HTTP, no JSON, no
 * validation, no queue library, and no checks of the stored rows.
 */
import type { Client } from 'pg';
import { ReadableError } from '../../src/process.ts';
import { connect } from '../databases.ts';
import type { Machine } from '../machine.ts';
import { INSERT_ORDER, openPeer, orderValues, pendingOrder, PEER_USER_ID } from './orders.ts';

export const DIRECT_SQL = 'Direct SQL, one transaction per order';
const DATABASE = 'direct_sql';

// The tables `orders` and `users` are the same as those of the peers.
const TABLES = `
  CREATE TABLE IF NOT EXISTS order_events (
    order_id uuid        NOT NULL REFERENCES orders (id),
    version  integer     NOT NULL,
    status   text        NOT NULL,
    actor    text        NOT NULL,
    at       timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (order_id, version)
  );
  CREATE TABLE IF NOT EXISTS jobs (
    id       bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    order_id uuid        NOT NULL REFERENCES orders (id),
    state    text        NOT NULL DEFAULT 'queued',
    attempt  integer     NOT NULL DEFAULT 0,
    run_at   timestamptz NOT NULL DEFAULT now()
  );
  CREATE INDEX IF NOT EXISTS jobs_queued_ix ON jobs (run_at) WHERE state = 'queued'`;

const INSERT_EVENT = {
  name: 'insert-event',
  text: `INSERT INTO order_events (order_id, version, status, actor) VALUES ($1, 1, 'PENDING', $2)`,
};

const INSERT_JOB = { name: 'insert-job', text: 'INSERT INTO jobs (order_id) VALUES ($1)' };

/** Places orders for some seconds over several connections, as fast as possible. Returns the milliseconds of each. */
export async function placeDirectly(
  machine: Machine,
  { connections, seconds }: { connections: number; seconds: number },
): Promise<number[]> {
  const { DATABASE_URL } = await openPeer(machine, DATABASE);
  await machine.query(TABLES, DATABASE);
  const latencies: number[] = [];
  const end = performance.now() + seconds * 1000;
  async function connection(): Promise<void> {
    const db = await connect(DATABASE_URL ?? '');
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
  const order = pendingOrder(PEER_USER_ID, { product_name: 'Book', amount: 99 });
  await db.query('BEGIN');
  await db.query({ name: 'insert-order', text: INSERT_ORDER, values: orderValues(order) });
  await db.query({ ...INSERT_EVENT, values: [order.id, `user:${PEER_USER_ID}`] });
  await db.query({ ...INSERT_JOB, values: [order.id] });
  await db.query('COMMIT');
}

/** Places some orders, and checks that each is stored with its event and its job. */
export async function verifyDirectSql(machine: Machine): Promise<void> {
  const count = `SELECT count(*)::int AS whole FROM orders AS o
    JOIN order_events AS e ON e.order_id = o.id AND e.version = 1
    JOIN jobs AS j ON j.order_id = o.id AND j.state = 'queued'`;
  await placeDirectly(machine, { connections: 1, seconds: 0 });
  const [before] = await machine.query<{ whole: number }>(count, DATABASE);
  const placed = await placeDirectly(machine, { connections: 2, seconds: 0.2 });
  const [after] = await machine.query<{ whole: number }>(count, DATABASE);
  const added = (after?.whole ?? 0) - (before?.whole ?? 0);
  if (placed.length === 0 || added !== placed.length) {
    throw new ReadableError(
      `${DIRECT_SQL}: ${placed.length} orders placed, ${added} stored with event and job`,
    );
  }
}
