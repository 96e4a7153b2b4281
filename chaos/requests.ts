import { randomUUID } from 'node:crypto';
import { setTimeout } from 'node:timers/promises';
import { ReadableError } from '../src/process.ts';

const REQUEST_TIMEOUT_MS = 5000;
const RETRY_DELAY_MS = 100;

/** The headers of a logged-in user. */
export type User = { authorization: string };

/** An answer with a known outcome. */
export type Answer = {
  status: number;
  body: { id?: string; type?: string; status?: string };
};

/** Sends the requests of customers. */
export type Requests = {
  /** Sends a request with the same Idempotency-Key until it is answered. Returns null when the run gives up. */
  insist: (user: User, method: string, path: string, body?: object) => Promise<Answer | null>;
  /** Cuts every connection with an open request. */
  breakConnections: () => void;
  /** Limits the next `requests` requests to this timeout. */
  hurry: (requests: number, timeoutMs: number) => void;
  giveUp: () => void;
  /** Counts. `failed` is the part of `unknown` that was answered 500, which needs an investigation. */
  counts: { requests: number; unknown: number; failed: number; replayed: number };
};

/** Sends requests to the origins in turn, so that a retry goes to another one. */
export function createRequests(origins: string[]): Requests {
  const counts = { requests: 0, unknown: 0, failed: 0, replayed: 0 };
  const underWay = new Set<AbortController>();
  const givingUp = new AbortController();
  let hurried = { requests: 0, timeoutMs: 0 };

  /** Null when the outcome is unknown. */
  async function attempt(path: string, init: RequestInit): Promise<Answer | null> {
    const connection = new AbortController();
    underWay.add(connection);
    counts.requests += 1;
    const timeoutMs = hurried.requests > 0 ? hurried.timeoutMs : REQUEST_TIMEOUT_MS;
    hurried.requests -= 1;
    const signal = AbortSignal.any([connection.signal, AbortSignal.timeout(timeoutMs)]);
    try {
      const origin = origins[counts.requests % origins.length];
      const response = await fetch(`${origin}${path}`, { ...init, signal });
      const body = (await response.json()) as Answer['body'];
      if (response.headers.get('idempotent-replayed') === 'true') counts.replayed += 1;
      return { status: response.status, body };
    } catch {
      return null; // it is unknown whether the request arrived or had an effect
    } finally {
      underWay.delete(connection);
    }
  }

  async function insist(user: User, method: string, path: string, body?: object) {
    const headers = { ...user, 'content-type': 'application/json', 'idempotency-key': newKey() };
    const init = { method, headers, ...(body && { body: JSON.stringify(body) }) };
    while (!givingUp.signal.aborted) {
      const answer = await attempt(path, init);
      if (answer && isDefinite(answer)) return answer;
      counts.unknown += 1;
      if (answer?.status === 500) counts.failed += 1;
      await setTimeout(RETRY_DELAY_MS);
    }
    return null;
  }

  return {
    insist,
    breakConnections: () => underWay.forEach((connection) => connection.abort()),
    hurry: (requests, timeoutMs) => (hurried = { requests, timeoutMs }),
    giveUp: () => givingUp.abort(),
    counts,
  };
}

/** A String of RFC 9651, as the draft has it. */
function newKey(): string {
  return `"${randomUUID()}"`;
}

/** Whether an answer is final: no server error, no rate limit, and no earlier attempt in progress. */
function isDefinite({ status, body }: Answer): boolean {
  return status < 500 && status !== 429 && body.type !== '/problems/idempotency-key-in-use';
}

/** The order can no longer be cancelled. */
export function isTooLate({ status, body }: Answer): boolean {
  return status === 409 && body.type === '/problems/order-not-cancellable';
}

/** Registers a new user. */
export async function signUp(origin: string): Promise<User> {
  const account = { email: `${randomUUID()}@example.test`, password: 'correct horse' };
  const post = async (path: string, body: object) => {
    const headers = { 'content-type': 'application/json' };
    const init = { method: 'POST', headers, body: JSON.stringify(body) };
    const response = await fetch(`${origin}${path}`, init);
    if (!response.ok) throw new ReadableError(`POST ${path} answered ${response.status}`);
    return (await response.json()) as { access_token: string };
  };
  await post('/auth/register', { name: 'Ada', ...account });
  const { access_token } = await post('/auth/login', account);
  return { authorization: `Bearer ${access_token}` };
}
