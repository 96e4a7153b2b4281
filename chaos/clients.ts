/*
 * Customers. They place orders over HTTP, and cancel some of them at once. A request with an unknown outcome (a
 * timeout, a broken connection, 5xx, or 409 because the key is in use) is sent again with the same Idempotency-Key
 * until its outcome is known, and so is a request that a rate limit refuses.
 */
import { setTimeout } from 'node:timers/promises';
import { registerAndLogIn, type Authorization } from '../test/support/accounts.ts';
import { createRequests, isTooLate, type Requests } from './requests.ts';

const CUSTOMERS = 32; // enough for several orders to share a transaction
const PAUSE_MS = 10; // leaves the cores to the service under test
const CANCEL_EVERY = 8;

/** What a customer knows about an order. */
export type Placed = {
  /** A unique text in the metadata of the order. */
  marker: string;
  /** Null when the order was never acknowledged. */
  id: string | null;
  sentAt: number;
  acknowledgedAt: number;
  /** False when the run ended before the customer got a final reply to the order or to its cancellation. */
  hasReply: boolean;
  /** Whether a cancellation was acknowledged. */
  cancelled: boolean;
};

/** The running customers. */
export type Clients = Pick<Requests, 'breakConnections' | 'shortenTimeouts' | 'counts'> & {
  /** Lets customers finish their open requests, up to this time. Resolves with all orders that they know. */
  stop: (timeoutMs: number) => Promise<Placed[]>;
  /** Replies that a customer must never get. */
  unexpected: string[];
};

/** Registers customers and lets them place orders at the API processes with these origins. */
export async function openClients(origins: string[]): Promise<Clients> {
  const requests = createRequests(origins);
  const unexpected: string[] = [];
  const placed: Placed[] = [];
  const stopping = new AbortController();

  async function actAsCustomer(user: Authorization, number: number): Promise<void> {
    for (let count = 1; !stopping.signal.aborted; count += 1) {
      const order = await place(user, `${number}:${count}`);
      placed.push(order);
      if (order.id && count % CANCEL_EVERY === 0) await cancel(user, order.id, order);
      await setTimeout(PAUSE_MS);
    }
  }

  async function place(user: Authorization, marker: string): Promise<Placed> {
    const sentAt = Date.now();
    const order = { product_name: 'Kettle', amount: '34.90', metadata: { chaos: marker } };
    const reply = await requests.sendUntilReply(user, 'POST', '/orders', order);
    const id = reply?.status === 201 ? (reply.body.id ?? null) : null;
    if (reply && !id) unexpected.push(`POST /orders: ${reply.status} ${reply.body.type}`);
    const hasReply = reply !== null;
    return { marker, id, sentAt, acknowledgedAt: Date.now(), hasReply, cancelled: false };
  }

  async function cancel(user: Authorization, id: string, order: Placed): Promise<void> {
    const reply = await requests.sendUntilReply(user, 'PUT', `/orders/${id}/cancellation`);
    order.hasReply = reply !== null;
    order.cancelled = reply?.status === 200 && reply.body.status === 'CANCELLED';
    if (!reply || order.cancelled || isTooLate(reply)) return;
    unexpected.push(`cancel ${id}: ${reply.status} ${reply.body.type}`);
  }

  const users = await Promise.all(
    origins.flatMap((origin) => [registerAndLogIn({ origin }), registerAndLogIn({ origin })]),
  );
  const customers = Array.from({ length: CUSTOMERS }, (_, number) =>
    actAsCustomer(users[number % users.length] as Authorization, number),
  );

  async function stop(timeoutMs: number): Promise<Placed[]> {
    stopping.abort();
    const finished = new AbortController();
    void setTimeout(timeoutMs, null, { signal: finished.signal }).then(
      requests.giveUp,
      () => undefined, // all customers have finished in time
    );
    await Promise.all(customers);
    finished.abort();
    return placed;
  }

  const { breakConnections, shortenTimeouts, counts } = requests;
  return { breakConnections, shortenTimeouts, counts, stop, unexpected };
}
