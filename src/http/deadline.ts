import type { Middleware } from 'koa';
import { Problem } from './problem.ts';
import type { BoundedResponse } from './response.ts';

/** How often requests are checked. A request can get its 503 earlier than its deadline, by up to this time. */
export const CHECK_MS = 1000;
/** A client that has not read its whole reply after this time is disconnected. */
const SENDING_MS_MAX = 60_000;

/**
 * Lets `response.fail` end a request with an error while the work for it waits. The work is not interrupted, so an
 * order may still be placed. Then the reply with this order is dropped.
 */
export function failable(): Middleware {
  return async (ctx, next) => {
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    (ctx.res as BoundedResponse).fail = reject;
    next().then(resolve, reject);
    await promise;
  };
}

/**
 * Checks the open responses of a server. Requests that have waited for the service for too long get 503. Clients that
 * do not read their reply are disconnected. The time that a client takes to send its body does not count.
 */
export function checkDeadlines(responses: Iterable<BoundedResponse>, seconds: number): void {
  const now = performance.now();
  for (const response of responses) {
    const waitedMs = now - response.since;
    if (!response.waitsForClient) {
      if (waitedMs + CHECK_MS > seconds * 1000) response.fail?.(tooLate(seconds));
    } else if (response.headersSent && waitedMs > SENDING_MS_MAX) {
      response.socket?.destroy();
    }
  }
}

function tooLate(seconds: number): Problem {
  return new Problem(
    'overloaded',
    `No reply within ${seconds} s. The request may still take effect: ` +
      'repeat it with the same Idempotency-Key.',
  );
}
