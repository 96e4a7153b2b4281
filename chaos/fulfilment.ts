import { createServer, type ServerResponse } from 'node:http';
import { text } from 'node:stream/consumers';
import { setTimeout } from 'node:timers/promises';
import { listen } from '../src/http/server.ts';

export const FULFILMENT_SECRET = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw';

const ANSWER_MS = 5;
const POSTPONE_EVERY = 37; // with 503: the worker tries again
const HANG_UP_EVERY = 53; // accepts the order, and closes the connection without an answer

/** The external step that the workers call. */
export type Fulfilment = {
  url: string;
  /** The accepted orders, by the Idempotency-Key of the call, with the number of calls for each. */
  accepted: Map<string, number>;
  calls: () => number;
  /** Calls that broke the documented contract. */
  unexpected: string[];
  close: () => Promise<void>;
};

/** Opens the external step. It accepts most calls, postpones some, and leaves some accepted calls without an answer. */
export async function openFulfilment(): Promise<Fulfilment> {
  const accepted = new Map<string, number>();
  const unexpected: string[] = [];
  let calls = 0;

  async function answer(response: ServerResponse, key: string, body: string): Promise<void> {
    calls += 1;
    const { id } = JSON.parse(body) as { id?: string };
    if (key === '' || key !== id) unexpected.push(`the call for order ${id} has the key ${key}`);
    await setTimeout(ANSWER_MS);
    if (calls % POSTPONE_EVERY === 0) {
      response.writeHead(503).end();
      return;
    }
    accepted.set(key, (accepted.get(key) ?? 0) + 1);
    if (calls % HANG_UP_EVERY === 0) response.destroy();
    else response.writeHead(200).end();
  }

  const server = createServer((request, response) => {
    const key = String(request.headers['idempotency-key'] ?? '');
    text(request)
      .then((body) => answer(response, key, body))
      .catch(() => response.destroy()); // the worker ended during its request
  });
  const port = await listen(server, 0, '127.0.0.1');
  return {
    url: `http://127.0.0.1:${port}/fulfil`,
    accepted,
    calls: () => calls,
    unexpected,
    async close() {
      const closed = new Promise((resolve) => server.close(resolve));
      server.closeAllConnections();
      await closed;
    },
  };
}
