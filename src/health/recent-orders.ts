import { sql } from 'slonik';
import { z } from 'zod';
import type { Deps } from '../deps.ts';

const BATCHES_MAX = 1_000;
const IDS_MAX = 20;

/** One order of each of the newest batches of this process. A batch is one transaction, so one order stands for all. */
export class RecentOrders {
  readonly #batches: { order_id: string; orders: number }[] = [];

  /** Adds a batch whose COMMIT has succeeded. */
  add(order_id: string, orders: number): void {
    this.#batches.push({ order_id, orders });
    if (this.#batches.length > 2 * BATCHES_MAX) this.#batches.splice(0, BATCHES_MAX);
  }

  /** Finds the batches that the database has lost. Returns how many orders they had, and the ids of some orders. */
  async missing({
    pool,
  }: Pick<Deps, 'pool'>): Promise<{ lost_orders: number; order_ids: string[] }> {
    const batches = this.#batches.slice(-BATCHES_MAX);
    const ids = batches.map(({ order_id }) => order_id);
    const there = await pool.anyFirst(sql.type(z.object({ id: z.string() }))`
      SELECT id FROM orders WHERE id = ANY(${sql.array(ids, 'uuid')})
    `);
    const found = new Set(there);
    const lost = batches.filter(({ order_id }) => !found.has(order_id));
    return {
      lost_orders: lost.reduce((sum, { orders }) => sum + orders, 0),
      order_ids: lost.slice(0, IDS_MAX).map(({ order_id }) => order_id),
    };
  }
}
