import { randomUUIDv7 } from 'node:crypto';
import createHttpError from 'http-errors';
import { crashPoint } from '../crash-point.ts';
import { JobNotCreated } from '../db/boss.ts';
import { isRowError, LOCK_TIMEOUT_AGAIN_MS } from '../db/errors.ts';
import type { Deps } from '../deps.ts';
import { Abandoned, createGroupCommit, GroupFull, type Caller } from '../group-commit.ts';
import type { KeyedRequest, Reply } from '../http/idempotency.ts';
import { Problem } from '../http/problem.ts';
import { placeOrders, type IdentifiedOrder } from './orders.ts';
import type { NewOrder } from './schema.ts';

/** How orders come in: those that arrive together are placed by one transaction. */
export type Intake = {
  /** Resolves with the reply once it is committed with the order and its job; see `placeOrder`. */
  place(order: IdentifiedOrder, request?: KeyedRequest, caller?: Caller): Promise<Reply>;
  /** How many orders wait for a transaction to take them. */
  waiting(): number;
};

type Entry = { order: IdentifiedOrder; request: KeyedRequest | undefined };

/** Opens the intake of an API process. Nothing has to be closed: it is empty once every request is answered. */
export function createIntake(deps: Omit<Deps, 'intake'>): Intake {
  const { config, metrics } = deps;
  const group = createGroupCommit<Entry, Reply>({
    lanes: config.INTAKE_LANES,
    sizeMax: config.INTAKE_BATCH_SIZE_MAX,
    waitingMax: config.INTAKE_QUEUE_MAX,
    async commit(entries, again) {
      crashPoint('batch-taken');
      const orders = entries.map(({ order }) => order);
      const requests = entries.map(({ request }) => request);
      const lockTimeoutMs = again ? LOCK_TIMEOUT_AGAIN_MS : config.INTAKE_LOCK_TIMEOUT_MS;
      const outcomes = await placeOrders(deps, orders, requests, lockTimeoutMs);
      metrics.intakeBatch.observe(entries.length);
      return outcomes;
    },
    isOneToBlame,
  });
  return {
    place: (order, request, caller) =>
      group.add({ order, request }, caller).catch((error: unknown) => {
        throw explained(error);
      }),
    waiting: () => group.waiting(),
  };
}

/**
 * Stores a PENDING order together with the job that will process it, and the reply if the request has a
 * key: all or none. A request that was answered before gets the same reply, and places nothing. Refused as
 * `overloaded` when too many are waiting; not tried any more once the caller has hung up.
 */
export function placeOrder(
  { intake }: Pick<Deps, 'intake'>,
  userId: string,
  input: NewOrder,
  request?: KeyedRequest,
  caller?: Caller,
): Promise<Reply> {
  return intake.place({ ...input, id: randomUUIDv7(), user_id: userId }, request, caller);
}

// A problem is one request's own: its key was stored by somebody who had not claimed it. A lock that does not
// come is most likely on one user's row, and should cost nobody else more than the wait.
function isOneToBlame(error: unknown): boolean {
  return isRowError(error) || error instanceof JobNotCreated || error instanceof Problem;
}

function explained(error: unknown): unknown {
  if (error instanceof GroupFull) return new Problem('overloaded', 'Too many orders are waiting.');
  if (error instanceof Abandoned) {
    return createHttpError(400, 'The client hung up.', { type: 'request.aborted' }); // as raw-body does
  }
  return error;
}
