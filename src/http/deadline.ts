import type { Middleware } from 'koa';
import { Problem } from './problem.ts';
import type { BoundedResponse } from './response.ts';

/** How often requests are checked. A request gets its 503 up to this time before its deadline. */
export const CHECK_MS = 1000;
/** A client that has not read its whole reply after this time is disconnected. */
const SENDING_MS_MAX = 60_000;

/**
 * Lets `response.fail` end a request while its work waits. The work is not interrupted, so an order may still be
 * placed; its reply is dropped.
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
 * Checks the open responses of a server: refuses requests that wait too long for the service with 503, and disconnects
 * clients that do not read. The time that a client takes to send its body does not count.
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
