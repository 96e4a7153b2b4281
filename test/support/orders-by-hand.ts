/*
 * Orders that plain SQL inserts and changes, as in psql, without API and worker.
 */
import { randomUUIDv7 } from 'node:crypto';
import { sql } from 'slonik';
import { z } from 'zod';
import { sqlStateOf } from '../../src/db/errors.ts';
import type { Deps } from '../../src/deps.ts';
import type { OrderStatus } from '../../src/orders/schema.ts';
import { signUp, type TestDeps } from './context.ts';
import { andTheirJobs } from './orders.ts';

/** The allowed steps from PENDING to each status. */
const STEPS_TO: Record<OrderStatus, OrderStatus[]> = {
  PENDING: [],
  PROCESSING: ['PROCESSING'],
  COMPLETED: ['PROCESSING', 'COMPLETED'],
  CANCELLED: ['CANCELLED'],
  FAILED: ['PROCESSING', 'FAILED'],
};

/** Inserts an order of a new user, and moves it to a status. Returns its id. */
export async function orderThatIs(
  context: { origin: string; deps: TestDeps },
  status: OrderStatus,
): Promise<string> {
  const { id: userId } = await signUp(context);
  const id = await insertOrder(context.deps, { user_id: userId });
  for (const step of STEPS_TO[status]) await moveOrder(context.deps, id, step);
  return id;
}

/** Inserts an order and its job. The given columns replace the defaults. Returns the id of the order. */
export async function insertOrder(
  { pool }: Deps,
  given: Record<string, string | number>,
): Promise<string> {
  const order = {
    id: randomUUIDv7(),
    status: 'PENDING',
    version: 1,
    product_name: 'Kettle',
    amount: '1',
    currency: 'USD',
    metadata: '{}',
    ...given,
  };
  await pool.query(sql.unsafe`
    WITH placed AS (
      INSERT INTO orders (id, status, version, user_id, product_name, amount, currency, metadata)
      SELECT id, status, version, user_id, product_name, amount, currency, metadata::jsonb
      FROM jsonb_to_record(${sql.jsonb(order)}) AS o(
        id uuid, status order_status, version integer, user_id uuid, product_name text,
        amount numeric, currency text, metadata text
      )
      RETURNING id, xact_id
    )
    ${andTheirJobs}
  `);
  return order.id;
}

/** Sets the status of an order. */
export async function moveOrder({ pool }: Deps, id: string, status: OrderStatus): Promise<void> {
  await pool.query(sql.unsafe`UPDATE orders SET status = ${status} WHERE id = ${id}`);
}

/** The columns of an order that change with its status. */
export function orderOf({ pool }: Deps, id: string) {
  const Row = z.object({ status: z.string(), version: z.number(), updated_at: z.string() });
  return pool.one(
    sql.type(Row)`SELECT status, version, updated_at::text FROM orders WHERE id = ${id}`,
  );
}

/** The SQLSTATE with which Postgres refuses a statement; `none` when it does not. */
export async function refusalOf(statement: Promise<unknown>): Promise<string> {
  return statement.then(
    () => 'none',
    (error: unknown) => sqlStateOf(error) ?? String(error),
  );
}
