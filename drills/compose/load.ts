import { randomUUID } from 'node:crypto';
import { setTimeout } from 'node:timers/promises';
import type { Authorization } from '../../test/support/accounts.ts';

const CUSTOMERS = 8;
const PAUSE_MS = 50;
const RETRY_MS = 250;
const REQUEST_TIMEOUT_MS = 15_000;
/** After `stop`, each customer tries to place the last order for this long, and then gives it up. */
const LAST_ORDER_MS = 60_000;
const ORDER = JSON.stringify({ product_name: 'Kettle', amount: '34.90' });

/**
 * Requests that were sent, those that got no 201, and what they got instead. `longestMs`: the longest time until an
 * order was accepted or given up.
 */
export type LoadFigures = {
  requests: number;
  failed: number;
  longestMs: number;
  reasons: string[];
};

/**
 * Lets customers place one order after another. Each sends an order again, with the same Idempotency-Key, until the
 * order is accepted. So a failed request delays an order, and must never double or lose it.
 */
export function startLoad(origin: string, customer: Authorization) {
  const accepted: string[] = [];
  const stopping = new AbortController();
  let givenUpAt = Number.POSITIVE_INFINITY;
  let figures = none();

  async function placeOrder(): Promise<void> {
    const key = randomUUID();
    const begin = performance.now();
    while (performance.now() < givenUpAt) {
      figures.requests += 1;
      const got = await send(origin, customer, key);
      if ('id' in got) {
        accepted.push(got.id);
        break;
      }
      figures.failed += 1;
      if (!figures.reasons.includes(got.reason)) figures.reasons.push(got.reason);
      await setTimeout(RETRY_MS);
    }
    figures.longestMs = Math.max(figures.longestMs, performance.now() - begin);
  }
  async function act(): Promise<void> {
    while (!stopping.signal.aborted) {
      await placeOrder();
      await setTimeout(PAUSE_MS);
    }
  }
  const customers = Promise.all(Array.from({ length: CUSTOMERS }, act));

  /** The figures since the last call. */
  function take(): LoadFigures {
    const taken = figures;
    figures = none();
    return taken;
  }
  /** Resolves with the ids of all accepted orders, when the last order of each customer is accepted or given up. */
  async function stop(): Promise<string[]> {
    stopping.abort();
    givenUpAt = performance.now() + LAST_ORDER_MS;
    await customers;
    return accepted;
  }
  return { take, stop };
}

function none(): LoadFigures {
  return { requests: 0, failed: 0, longestMs: 0, reasons: [] };
}

async function send(
  origin: string,
  customer: Authorization,
  key: string,
): Promise<{ id: string } | { reason: string }> {
  const headers = { ...customer, 'content-type': 'application/json', 'idempotency-key': key };
  const signal = AbortSignal.timeout(REQUEST_TIMEOUT_MS);
  try {
    const reply = await fetch(`${origin}/orders`, { method: 'POST', headers, body: ORDER, signal });
    const body = await reply.text();
    if (reply.status !== 201) return { reason: String(reply.status) };
    return { id: (JSON.parse(body) as { id: string }).id };
  } catch (error) {
    return {
      reason: error instanceof Error && error.name === 'TimeoutError' ? 'timeout' : 'reset',
    };
  }
}
