import { randomUUID } from 'node:crypto';
import { setTimeout } from 'node:timers/promises';
import type { Authorization } from '../test/support/accounts.ts';

const REQUEST_TIMEOUT_MS = 5000;
const RETRY_DELAY_MS = 100;

/** A reply of the API. */
type ChaosReply = {
  status: number;
  body: { id?: string; type?: string; status?: string };
};

/** Sends the requests of customers. */
export type Requests = {
  /** Sends a request with one Idempotency-Key until it gets a final reply. Returns null after `giveUp`. */
  sendUntilReply: (
    user: Authorization,
    method: string,
    path: string,
    body?: object,
  ) => Promise<ChaosReply | null>;
  /** Cuts every connection with an open request. */
  breakConnections: () => void;
  /** Gives the next `requests` requests this timeout. */
  shortenTimeouts: (requests: number, timeoutMs: number) => void;
  giveUp: () => void;
  /** Counts. `failed` is the part of `unknown` with the reply 500, which needs an investigation. */
  counts: { requests: number; unknown: number; failed: number; replayed: number };
};

/** Sends requests to the origins in turn, so a retry goes to another one. */
export function createRequests(origins: string[]): Requests {
  const counts = { requests: 0, unknown: 0, failed: 0, replayed: 0 };
  const open = new Set<AbortController>();
  const givingUp = new AbortController();
  let shortened = { requests: 0, timeoutMs: 0 };

  /** Null when the outcome is unknown. */
  async function attempt(path: string, init: RequestInit): Promise<ChaosReply | null> {
    const connection = new AbortController();
    open.add(connection);
    counts.requests += 1;
    const timeoutMs = shortened.requests > 0 ? shortened.timeoutMs : REQUEST_TIMEOUT_MS;
    shortened.requests -= 1;
    const signal = AbortSignal.any([connection.signal, AbortSignal.timeout(timeoutMs)]);
    try {
      const origin = origins[counts.requests % origins.length];
      const response = await fetch(`${origin}${path}`, { ...init, signal });
      const body = (await response.json()) as ChaosReply['body'];
      if (response.headers.get('idempotent-replayed') === 'true') counts.replayed += 1;
      return { status: response.status, body };
    } catch {
      return null; // it is unknown whether the request arrived or had an effect
    } finally {
      open.delete(connection);
    }
  }

  async function sendUntilReply(user: Authorization, method: string, path: string, body?: object) {
    const headers = { ...user, 'content-type': 'application/json', 'idempotency-key': newKey() };
    const init = { method, headers, ...(body && { body: JSON.stringify(body) }) };
    while (!givingUp.signal.aborted) {
      const reply = await attempt(path, init);
      if (reply && isFinal(reply)) return reply;
      counts.unknown += 1;
      if (reply?.status === 500) counts.failed += 1;
      await setTimeout(RETRY_DELAY_MS);
    }
    return null;
  }

  return {
    sendUntilReply,
    breakConnections: () => open.forEach((connection) => connection.abort()),
    shortenTimeouts: (requests, timeoutMs) => (shortened = { requests, timeoutMs }),
    giveUp: () => givingUp.abort(),
    counts,
  };
}

/** A String of RFC 9651, as the draft of the Idempotency-Key header asks. */
function newKey(): string {
  return `"${randomUUID()}"`;
}

/** Whether a reply is final: no server error, no rate limit, and no earlier attempt in progress. */
function isFinal({ status, body }: ChaosReply): boolean {
  return status < 500 && status !== 429 && body.type !== '/problems/idempotency-key-in-use';
}

/** Whether the reply refuses a cancellation because the order can no longer be cancelled. */
export function isTooLate({ status, body }: ChaosReply): boolean {
  return status === 409 && body.type === '/problems/order-not-cancellable';
}
