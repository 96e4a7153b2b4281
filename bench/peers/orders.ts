/*
 * The common parts of the two peers: their tables, how they store an order, and how orders are queued in bulk. Their
 * table of orders has the columns that a reply shows, without `version`, and the fillfactor of the service's table. It
 * has no triggers, trail and checks.
 */
import jsonwebtoken from 'jsonwebtoken';
import type { Client } from 'pg';
import { randomUUIDv7 } from 'node:crypto';
import type { Environment } from '../../src/config/load.ts';
import { ORDER_BODY, type Api } from '../contestant.ts';
import { connect } from '../databases.ts';
import type { Machine } from '../machine.ts';

const JWT_SECRET = 'a-secret-of-the-peers-for-measuring-and-nothing-else';

/** The only user of the peers. */
export const PEER_USER_ID = '01890a5d-ac96-774b-bcce-b302099a8057';

/** The order in a request. */
export type NewOrder = { product_name: string; amount: number };

/** The order in a reply of the peers. */
type PeerOrder = {
  id: string;
  status: 'PENDING';
  user_id: string;
  product_name: string;
  amount: string;
  currency: string;
  metadata: Record<string, unknown>;
  created_at: string;
  updated_at: string;
};

const TABLES = `
  CREATE TABLE IF NOT EXISTS users (
    id    uuid PRIMARY KEY,
    email text NOT NULL UNIQUE
  );
  INSERT INTO users VALUES ('${PEER_USER_ID}', 'bench@example.test') ON CONFLICT DO NOTHING;
  CREATE TABLE IF NOT EXISTS orders (
    id           uuid        PRIMARY KEY,
    status       text        NOT NULL DEFAULT 'PENDING',
    user_id      uuid        NOT NULL REFERENCES users (id),
    product_name text        NOT NULL,
    amount       numeric     NOT NULL,
    currency     text        NOT NULL DEFAULT 'USD',
    metadata     jsonb       NOT NULL DEFAULT '{}',
    created_at   timestamptz NOT NULL DEFAULT now(),
    updated_at   timestamptz NOT NULL DEFAULT now()
  ) WITH (fillfactor = 50);
  CREATE INDEX IF NOT EXISTS orders_user_ix ON orders (user_id, id)`;

/** Creates the tables in a peer's database, and returns the environment of its processes. */
export async function openPeer(machine: Machine, database: string): Promise<Environment> {
  const url = await machine.databaseUrl(database);
  await machine.query(TABLES, database);
  return { DATABASE_URL: url, REDIS_URL: machine.redisUrl, JWT_SECRET };
}

/** The request that places an order with a peer. */
export function peerRequest(): Pick<Api, 'headers' | 'body' | 'path'> {
  const token = jsonwebtoken.sign({}, JWT_SECRET, { subject: PEER_USER_ID, expiresIn: '1 day' });
  const headers = { 'content-type': 'application/json', authorization: `Bearer ${token}` };
  return { headers, body: ORDER_BODY, path: '/orders' };
}

/** A new order. All its columns are known here, so the INSERT returns nothing. */
export function pendingOrder(userId: string, { product_name, amount }: NewOrder): PeerOrder {
  const now = new Date().toISOString();
  return {
    id: randomUUIDv7(),
    status: 'PENDING',
    user_id: userId,
    product_name,
    amount: amount.toFixed(2),
    currency: 'USD',
    metadata: {},
    created_at: now,
    updated_at: now,
  };
}

/** Stores an order, with the values of `orderValues`. */
export const INSERT_ORDER = `
  INSERT INTO orders
    (id, status, user_id, product_name, amount, currency, metadata, created_at, updated_at)
  VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`;

export function orderValues(order: PeerOrder): unknown[] {
  return Object.values(order); // in the order of the members in `pendingOrder`
}

/** The effect of a job. A second run has no effect. */
export const COMPLETE_ORDER = {
  name: 'complete-order',
  text: `UPDATE orders SET status = 'COMPLETED', updated_at = now() WHERE id = $1 AND status = 'PENDING'`,
};

const QUEUED_ORDERS = `
  INSERT INTO orders (id, user_id, product_name, amount)
  SELECT uuidv7(), '${PEER_USER_ID}', 'Book', 99 FROM generate_series(1, $1)
  RETURNING id`;

/**
 * Stores orders in one transaction and leaves it open. `queue` adds their jobs. Returns a function that commits the
 * transaction.
 */
export async function placeInBulk(
  machine: Machine,
  database: string,
  orders: number,
  queue: (db: Client, ids: string[]) => Promise<unknown>,
): Promise<() => Promise<void>> {
  const db = await connect(await machine.databaseUrl(database));
  await db.query('BEGIN');
  const { rows } = await db.query<{ id: string }>(QUEUED_ORDERS, [orders]);
  await queue(
    db,
    rows.map(({ id }) => id),
  );
  await db.query('ANALYZE orders'); // as autovacuum does within a minute
  return async () => {
    await db.query('COMMIT');
    await db.end();
  };
}
