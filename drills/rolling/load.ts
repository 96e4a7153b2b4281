import { Agent, request as send } from 'node:http';
import { setTimeout } from 'node:timers/promises';
import type { Authorization } from '../../test/support/accounts.ts';

const CUSTOMERS = 16;
const PAUSE_MS = 20; // leaves the cores to the service
const ORDER = JSON.stringify({ product_name: 'Kettle', amount: '34.90' });

/** Requests that customers sent, and those that got no 201, by what they got instead. */
export type LoadCounts = { requests: number; failed: number; failures: Record<string, number> };

/** Lets customers place one order after another, each on a kept connection, until `stop`. No request is sent again. */
export function startLoad(origin: string, customer: Authorization) {
  const counts: LoadCounts = { requests: 0, failed: 0, failures: {} };
  const agent = new Agent({ keepAlive: true, maxSockets: CUSTOMERS });
  const stopping = new AbortController();

  async function act(): Promise<void> {
    while (!stopping.signal.aborted) {
      counts.requests += 1;
      const got = await placeOrder(origin, agent, customer);
      if (got !== '201') {
        counts.failed += 1;
        counts.failures[got] = (counts.failures[got] ?? 0) + 1;
      }
      await setTimeout(PAUSE_MS);
    }
  }
  const customers = Promise.all(Array.from({ length: CUSTOMERS }, act));
  async function stop(): Promise<LoadCounts> {
    stopping.abort();
    await customers;
    agent.destroy();
    return counts;
  }
  return { stop };
}

/** Resolves with the status of the reply, or with the code of the error. */
function placeOrder(origin: string, agent: Agent, customer: Authorization): Promise<string> {
  return new Promise((resolve) => {
    const headers = { ...customer, 'content-type': 'application/json' };
    const request = send(`${origin}/orders`, { method: 'POST', agent, headers }, (response) => {
      response.resume();
      response.on('end', () => resolve(String(response.statusCode)));
      response.on('error', ({ message }) => resolve(message));
    });
    request.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
    request.end(ORDER);
  });
}
