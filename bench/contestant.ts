import type { Machine } from './machine.ts';
import type { Process } from './process.ts';

/** A process that takes orders, and the request that places one. */
export type Api = Process & { headers: Record<string, string>; body: string; path: string };

/** One way to do what the service does. Each has a database of its own; Postgres and Redis are the same. */
export type Contestant = {
  name: string;
  /** Where its table `orders` is; none for those that store nothing. */
  database?: string;
  /** Starts one HTTP process. Its POST answers 201 once the order and its job are where they belong. */
  api: (machine: Machine) => Promise<Api>;
  /** Starts one worker process; resolves when it is connected, and would take a job at once. */
  worker?: (machine: Machine) => Promise<Process>;
  /**
   * Queues so many orders at once, as its API would have, and holds the workers back until it is done.
   * `wake` then lets them start.
   */
  fill?: (machine: Machine, orders: number) => Promise<void>;
  wake?: (machine: Machine) => Promise<void>;
  /** How many queued orders are not completed yet. */
  left?: (machine: Machine) => Promise<number>;
};

/** The order that all contestants are sent. */
export const ORDER_BODY = JSON.stringify({ product_name: 'Book', amount: 99 });
