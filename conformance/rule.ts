/*
 * A rule of safe retries, and the expectations from which its check is made.
 */
import { randomUUID } from 'node:crypto';
import type { ReceivedReply, Target, User } from './client.ts';

/** Two users of the server, and the number of requests in the check of simultaneous requests. */
export type Run = { ada: User; bob: User; concurrency: number };

/** `check` throws RuleBroken when the server does not keep the rule. */
export type Rule = { title: string; check: (run: Run) => Promise<void> };

/** The message says what the server did. */
export class RuleBroken extends Error {}

export const PLACE: Target = ['POST', '/orders'];

const PROBLEM = /^application\/problem\+json/;

/** The body of a new order. Its product name is unique. */
export function newOrder() {
  return { product_name: `conformance ${randomUUID()}`, amount: '1.00' };
}

/** A new key in quotes, as the draft writes it. */
export function newKey(): string {
  return `"${randomUUID()}"`;
}

/** The request that cancels the order of a reply. */
export function cancellationOf({ text }: ReceivedReply): Target {
  return ['PUT', `/orders/${String(parse(text).id)}/cancellation`];
}

/** Whether a reply is marked as a repetition of an earlier one. */
export function isReplay({ headers }: ReceivedReply): boolean {
  return headers.get('idempotent-replayed') === 'true';
}

export function expect(condition: boolean, otherwise: string): void {
  if (!condition) throw new RuleBroken(otherwise);
}

export function expectNotReplayed(reply: ReceivedReply): void {
  expect(!isReplay(reply), 'the server sent the reply to another request');
}

/** Expects a first reply: with this status, and not marked as a replay. Returns the reply. */
export function expectFirst(reply: ReceivedReply, status: number): ReceivedReply {
  expectStatus(reply, status);
  expectNotReplayed(reply);
  return reply;
}

/** Expects the same reply as the first one, marked as a replay. */
export function expectReplay(reply: ReceivedReply, first: ReceivedReply): void {
  expect(
    reply.status === first.status,
    `the first reply was ${first.status}, that to the retry ${reply.status}`,
  );
  expect(reply.text === first.text, 'the retry got another body');
  for (const name of ['content-type', 'location']) {
    expect(reply.headers.get(name) === first.headers.get(name), `the retry got another ${name}`);
  }
  expect(isReplay(reply), 'the reply to the retry has no header Idempotent-Replayed: true');
}

/** Expects an error as RFC 9457 describes it. */
export function expectProblem(reply: ReceivedReply, status: number): void {
  expectStatus(reply, status);
  const type = reply.headers.get('content-type') ?? 'none';
  expect(PROBLEM.test(type), `the content type is ${type}, not application/problem+json`);
  expect(parse(reply.text).status === status, 'the problem names another status');
}

/** Expects that the user has this number of orders with the product name of the body, which `newOrder` makes unique. */
export async function expectOrders(user: User, body: { product_name: string }, count: number) {
  const { orders } = parse((await user.send(['GET', '/orders?limit=100'])).text);
  if (!Array.isArray(orders)) throw new RuleBroken('GET /orders did not list orders');
  const found = orders.filter(({ product_name }) => product_name === body.product_name).length;
  expect(found === count, `${found} orders were placed, not ${count}`);
}

function expectStatus(reply: ReceivedReply, status: number): void {
  expect(reply.status === status, `the server answered ${reply.status}, not ${status}`);
}

function parse(text: string): Record<string, unknown> {
  try {
    return JSON.parse(text) as Record<string, unknown>;
  } catch {
    throw new RuleBroken('the reply is not JSON');
  }
}
