/*
 * Sends the requests of the suite. When the server limits requests (429), waits as its Retry-After says.
 */
import { ReadableError } from '../src/process.ts';
import { registerAndLogIn } from '../test/support/accounts.ts';

const REQUEST_TIMEOUT_MS = 30_000;
const WAIT_SECONDS_MAX = 120;
const WAITS_MAX = 10;

/** A reply. The body stays text, so that a rule can check that a retry gets the same text. */
export type ReceivedReply = { status: number; headers: Headers; text: string };

export type Target = readonly [method: string, path: string];

/** A logged-in user. A string body is sent unchanged, an object as JSON. */
export type User = {
  send: (
    target: Target,
    options?: { key?: string; body?: object | string },
  ) => Promise<ReceivedReply>;
};

/** Registers a new user and logs in. */
export async function signUp(baseUrl: string, name: string): Promise<User> {
  const authorization = await registerAndLogIn({ origin: baseUrl, fetch: patientFetch }, name);
  return {
    async send([method, path], { key, body } = {}) {
      const headers = new Headers(authorization);
      if (key !== undefined) headers.set('idempotency-key', key);
      if (body !== undefined) headers.set('content-type', 'application/json');
      const text = typeof body === 'object' ? JSON.stringify(body) : (body ?? null);
      const init = { method, headers, body: text, redirect: 'manual' } as const;
      const response = await patientFetch(`${baseUrl}${path}`, init);
      return { status: response.status, headers: response.headers, text: await response.text() };
    },
  };
}

/** Like `fetch`, but repeats a request after a 429, because it had no effect. Throws when the server is unavailable. */
async function patientFetch(url: string, init: RequestInit): Promise<Response> {
  for (let waits = 0; ; waits += 1) {
    const signal = AbortSignal.timeout(REQUEST_TIMEOUT_MS);
    const response = await fetch(url, { ...init, signal }).catch((cause: Error) => {
      throw new ReadableError(`${url} cannot be reached: ${reasonOf(cause)}`, { cause });
    });
    if (response.status === 503) throw new ReadableError(`${url} is unavailable (503)`);
    if (response.status !== 429) return response;
    const seconds = Number(response.headers.get('retry-after') || Number.NaN);
    if (!(seconds <= WAIT_SECONDS_MAX) || waits >= WAITS_MAX) {
      const advice = 'raise RATE_LIMIT_*, or set it to 0 to switch it off';
      throw new ReadableError(`The rate limit of ${url} stays exceeded: ${advice}`);
    }
    process.stdout.write(`rate limit of ${new URL(url).pathname} reached: waiting ${seconds} s\n`);
    await response.text(); // otherwise the connection is not used again
    await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
  }
}

/** `fetch` hides the reason in the cause of its error. */
function reasonOf({ cause, message, name }: Error): string {
  return cause instanceof Error ? reasonOf(cause) : message || name;
}
