import { randomUUID } from 'node:crypto';
import { setTimeout } from 'node:timers/promises';
import { ReadableError } from '../src/process.ts';

const REQUEST_TIMEOUT_MS = 5000;
const RETRY_DELAY_MS = 100;

/** Somebody who is logged in: the headers that say so. */
export type User = { authorization: string };

/** An answer to rely on. */
export type Answer = {
  status: number;
  body: { id?: string; type?: string; status?: string };
};

/** What customers send their requests with. */
export type Requests = {
  /** Sends a request, with one Idempotency-Key, until it is answered. Null when told to give up. */
  insist: (user: User, method: string, path: string, body?: object) => Promise<Answer | null>;
  /** Cuts every connection that a request is under way on. */
  breakConnections: () => void;
  /** The next so many requests wait no longer than this. */
  hurry: (requests: number, timeoutMs: number) => void;
  giveUp: () => void;
  /** Of `unknown`, `failed` were answered 500: somebody should look why. */
  counts: { requests: number; unknown: number; failed: number; replayed: number };
};

/** Requests go to the origins in turn, so that whoever tries again does so elsewhere. */
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
      return null; // sent or not, done or not: nobody knows
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

/** Not that something went wrong there, nor that an earlier try is still being worked on. */
function isDefinite({ status, body }: Answer): boolean {
  return status < 500 && status !== 429 && body.type !== '/problems/idempotency-key-in-use';
}

/** The order can no longer be cancelled. */
export function isTooLate({ status, body }: Answer): boolean {
  return status === 409 && body.type === '/problems/order-not-cancellable';
}

/** Registers somebody new. */
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
