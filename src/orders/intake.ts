import { randomUUIDv7 } from 'node:crypto';
import createHttpError from 'http-errors';
import { crashPoint } from '../crash-point.ts';
import { isRowError, LOCK_TIMEOUT_AGAIN_MS } from '../db/errors.ts';
import type { ApiDeps } from '../deps.ts';
import { Abandoned, createGroupCommit, GroupFull, type Caller } from '../db/batcher.ts';
import type { KeyedRequest, Reply } from '../http/idempotency.ts';
import { Problem } from '../http/problem.ts';
import { createPlacement, placeOrders, type IdentifiedOrder, type Placement } from './placement.ts';
import type { NewOrder } from './schema.ts';

/** Places orders: those that arrive together are placed by one statement. */
export type Intake = {
  /** Resolves with the reply once it is committed with the order and its job; see `placeOrder`. */
  place(order: IdentifiedOrder, request?: KeyedRequest, caller?: Caller): Promise<Reply>;
  /** How many orders wait for a statement. */
  waiting(): number;
};

/** Creates the intake of an API process. It needs no close: it is empty when every request is answered. */
export function createIntake(deps: Pick<ApiDeps, 'config' | 'pool' | 'hints' | 'metrics'>): Intake {
  const { config, metrics } = deps;
  const group = createGroupCommit<Placement, Reply>({
    lanes: config.INTAKE_LANES,
    sizeMax: config.INTAKE_BATCH_SIZE_MAX,
    waitingMax: config.INTAKE_QUEUE_MAX,
    async commit(placements, again) {
      crashPoint('batch-taken');
      const lockTimeoutMs = again ? LOCK_TIMEOUT_AGAIN_MS : config.INTAKE_LOCK_TIMEOUT_MS;
      const outcomes = await placeOrders(deps, placements, lockTimeoutMs);
      metrics.intakeBatch.observe(placements.length);
      return outcomes;
    },
    // A lock timeout is most likely caused by one user's row. Other orders are delayed by it, but do not fail.
    isOneToBlame: isRowError,
  });
  return {
    place: (order, request, caller) =>
      group.add(createPlacement(order, request), caller).catch((error: unknown) => {
        throw explained(error);
      }),
    waiting: () => group.waiting(),
  };
}

/**
 * Stores a PENDING order, its job, and the reply if the request has a key: all or none. A request that was answered
 * before gets the same reply, and places nothing. Throws the problem `overloaded` when too many orders are waiting.
 * Waiting orders whose client has disconnected are dropped.
 */
export function placeOrder(
  { intake }: { intake: Intake },
  userId: string,
  input: NewOrder,
  request?: KeyedRequest,
  caller?: Caller,
): Promise<Reply> {
  return intake.place({ ...input, id: randomUUIDv7(), user_id: userId }, request, caller);
}

function explained(error: unknown): unknown {
  if (error instanceof GroupFull) return new Problem('overloaded', 'Too many orders are waiting.');
  if (error instanceof Abandoned) {
    return createHttpError(400, 'The client hung up.', { type: 'request.aborted' }); // as raw-body does
  }
  return error;
}
