/*
 * Customers. They place orders over HTTP and cancel some at once. A request with an unknown outcome (a timeout, a
 * broken connection, 5xx, or 409 because the key is in use) is sent again with the same Idempotency-Key until it is
 * answered.
 */
import { setTimeout } from 'node:timers/promises';
import { createRequests, isTooLate, signUp, type Requests, type User } from './requests.ts';

const LANES = 32; // enough for several orders to share a transaction
const PAUSE_MS = 10; // leaves the cores to the service under test
const CANCEL_EVERY = 8;

/** What a customer knows of an order. */
export type Placed = {
  /** A unique text in the metadata of the order. */
  marker: string;
  /** Null when the order was never acknowledged. */
  id: string | null;
  sentAt: number;
  acknowledgedAt: number;
  /** False when a customer gave up on the order or on its cancellation. */
  isAnswered: boolean;
  /** Whether a cancellation was acknowledged. */
  cancelled: boolean;
};

/** The running customers. */
export type Clients = Pick<Requests, 'breakConnections' | 'hurry' | 'counts'> & {
  /** Lets customers finish open requests, within this time. Resolves with all that they know. */
  stop: (patienceMs: number) => Promise<Placed[]>;
  /** Answers that a customer must never get. */
  complaints: string[];
};

/** Registers customers and lets them place orders at the API processes with these origins. */
export async function openClients(origins: string[]): Promise<Clients> {
  const requests = createRequests(origins);
  const complaints: string[] = [];
  const placed: Placed[] = [];
  const stopping = new AbortController();

  async function lane(user: User, number: number): Promise<void> {
    for (let count = 1; !stopping.signal.aborted; count += 1) {
      const order = await place(user, `${number}:${count}`);
      placed.push(order);
      if (order.id && count % CANCEL_EVERY === 0) await cancel(user, order.id, order);
      await setTimeout(PAUSE_MS);
    }
  }

  async function place(user: User, marker: string): Promise<Placed> {
    const sentAt = Date.now();
    const order = { product_name: 'Kettle', amount: '34.90', metadata: { chaos: marker } };
    const answer = await requests.insist(user, 'POST', '/orders', order);
    const id = answer?.status === 201 ? (answer.body.id ?? null) : null;
    if (answer && !id) complaints.push(`POST /orders: ${answer.status} ${answer.body.type}`);
    const isAnswered = answer !== null;
    return { marker, id, sentAt, acknowledgedAt: Date.now(), isAnswered, cancelled: false };
  }

  async function cancel(user: User, id: string, order: Placed): Promise<void> {
    const answer = await requests.insist(user, 'PUT', `/orders/${id}/cancellation`);
    order.isAnswered = answer !== null;
    order.cancelled = answer?.status === 200 && answer.body.status === 'CANCELLED';
    if (!answer || order.cancelled || isTooLate(answer)) return;
    complaints.push(`cancel ${id}: ${answer.status} ${answer.body.type}`);
  }

  const users = await Promise.all(origins.flatMap((origin) => [signUp(origin), signUp(origin)]));
  const lanes = Array.from({ length: LANES }, (_, number) =>
    lane(users[number % users.length] as User, number),
  );

  async function stop(patienceMs: number): Promise<Placed[]> {
    stopping.abort();
    const patience = new AbortController();
    void setTimeout(patienceMs, null, { signal: patience.signal }).then(
      requests.giveUp,
      () => undefined, // all have finished in time
    );
    await Promise.all(lanes);
    patience.abort();
    return placed;
  }

  const { breakConnections, hurry, counts } = requests;
  return { breakConnections, hurry, counts, stop, complaints };
}
