import type { Machine } from './machine.ts';
import type { Process } from './process.ts';

/** A process that takes orders, and the request that places one. */
export type Api = Process & { headers: Record<string, string>; body: string; path: string };

/** One implementation of an order service. Each has a database of its own on the same Postgres, and the same Redis. */
export type Contestant = {
  name: string;
  /** The database with its table `orders`. None for a contestant that stores nothing. */
  database?: string;
  /** The database roles of its processes: by default the superuser. */
  roles?: string[];
  /** Starts one HTTP process. Its POST answers 201 when the order and its job are stored. */
  api: (machine: Machine) => Promise<Api>;
  /** Starts one worker process. Resolves when the worker is connected and waits for jobs. */
  worker?: (machine: Machine) => Promise<Process>;
  /**
   * Queues this number of orders at once, as its API would store them. Resolves with a function that makes them visible
   * to the workers.
   */
  fill?: (machine: Machine, orders: number) => Promise<() => Promise<void>>;
  /** The number of queued orders that are not completed yet. */
  left?: (machine: Machine) => Promise<number>;
  /** Empties its tables and queues. None of its processes may be running. */
  clear?: (machine: Machine) => Promise<void>;
};

/** A contestant that has a queue and a worker. */
export type QueueContestant = Contestant &
  Required<Pick<Contestant, 'database' | 'worker' | 'fill' | 'left' | 'clear'>>;

export function isQueueContestant(contestant: Contestant): contestant is QueueContestant {
  return contestant.fill !== undefined;
}

/** The order that every contestant gets. */
export const ORDER_BODY = JSON.stringify({ product_name: 'Book', amount: 99 });
