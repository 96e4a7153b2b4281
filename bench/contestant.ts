import type { Machine } from './machine.ts';
import type { Process } from './process.ts';

/** A process that takes orders, and the request that places one. */
export type Api = Process & { headers: Record<string, string>; body: string; path: string };

/** One way to do what the service does. Each has a database of its own; Postgres and Redis are the same. */
export type Contestant = {
  name: string;
  /** Where its table `orders` is; none for those that store nothing. */
  database?: string;
  /** What its processes log in to the database as; the superuser where nothing is said. */
  roles?: string[];
  /** Starts one HTTP process. Its POST answers 201 once the order and its job are where they belong. */
  api: (machine: Machine) => Promise<Api>;
  /** Starts one worker process; resolves when it is connected, and would take a job at once. */
  worker?: (machine: Machine) => Promise<Process>;
  /**
   * Queues so many orders, in one go, as its API would have. Workers that run already see none of them until
   * the function is called that this resolves with.
   */
  fill?: (machine: Machine, orders: number) => Promise<() => Promise<void>>;
  /** How many queued orders are not completed yet. */
  left?: (machine: Machine) => Promise<number>;
  /** Empties its tables and queues; none of its processes may be running. */
  clear?: (machine: Machine) => Promise<void>;
};

/** A contestant that has a queue and a worker. */
export type QueueContestant = Contestant &
  Required<Pick<Contestant, 'database' | 'worker' | 'fill' | 'left' | 'clear'>>;

export function isQueueContestant(contestant: Contestant): contestant is QueueContestant {
  return contestant.fill !== undefined;
}

/** The order that all contestants are sent. */
export const ORDER_BODY = JSON.stringify({ product_name: 'Book', amount: 99 });
