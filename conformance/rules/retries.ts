/*
 * Rules about a second request with the same key: what it gets, and that it has no effect.
 */
import { randomUUID } from 'node:crypto';
import { ReadableError } from '../../src/process.ts';
import type { ReceivedReply, Target, User } from '../client.ts';
import {
  cancellationOf,
  expect,
  expectFirst,
  expectOrders,
  expectProblem,
  expectReplay,
  isReplay,
  newKey,
  newOrder,
  PLACE,
  RuleBroken,
  type Rule,
} from '../rule.ts';

const CANCEL_TRIES_MAX = 5;

export const retryRules: Rule[] = [
  {
    title: 'a retry gets the first reply, marked as a replay, and has no effect',
    async check({ ada }) {
      const [key, body] = [newKey(), newOrder()];
      const first = expectFirst(await ada.send(PLACE, { key, body }), 201);
      expectReplay(await ada.send(PLACE, { key, body }), first);
      await expectOrders(ada, body, 1);
    },
  },
  {
    title: 'a key is the same with and without quotes',
    async check({ ada }) {
      const [key, body] = [randomUUID(), newOrder()];
      const first = expectFirst(await ada.send(PLACE, { key, body }), 201);
      expectReplay(await ada.send(PLACE, { key: `"${key}"`, body }), first);
    },
  },
  {
    title: 'a body is the same with other white space and another order of members',
    async check({ ada }) {
      const [key, body] = [newKey(), newOrder()];
      const first = expectFirst(await ada.send(PLACE, { key, body }), 201);
      const reversed = Object.fromEntries(Object.entries(body).toReversed());
      expectReplay(await ada.send(PLACE, { key, body: JSON.stringify(reversed, null, 2) }), first);
    },
  },
  {
    title: 'a used key with another body gets 422, and the first reply stays',
    async check({ ada }) {
      const [key, body, other] = [newKey(), newOrder(), newOrder()];
      const first = expectFirst(await ada.send(PLACE, { key, body }), 201);
      expectProblem(await ada.send(PLACE, { key, body: other }), 422);
      await expectOrders(ada, other, 0);
      expectReplay(await ada.send(PLACE, { key, body }), first);
    },
  },
  {
    title: 'the key of a refused request can be used again',
    async check({ ada }) {
      const [key, body] = [newKey(), newOrder()];
      expectProblem(await ada.send(PLACE, { key, body: { ...body, amount: '-1' } }), 422);
      expectFirst(await ada.send(PLACE, { key, body }), 201);
    },
  },
  {
    title: 'of simultaneous requests one has an effect; the others get its reply, or 409',
    async check({ ada, concurrency }) {
      const [key, body] = [newKey(), newOrder()];
      const attempt = () => ada.send(PLACE, { key, body });
      const replies = await Promise.all(Array.from({ length: concurrency }, attempt));
      const first = replies.find((reply) => reply.status === 201 && !isReplay(reply));
      if (!first) throw new RuleBroken('no request got a first reply');
      for (const reply of replies.filter((one) => one !== first)) {
        if (reply.status === 409) expectProblem(reply, 409);
        else expectReplay(reply, first);
      }
      await expectOrders(ada, body, 1);
      expectReplay(await attempt(), first);
    },
  },
  {
    title: 'a retry gets the first reply also when the order has changed since',
    async check({ ada }) {
      const [key, body] = [newKey(), newOrder()];
      const first = expectFirst(await ada.send(PLACE, { key, body }), 201);
      await changeOrder(ada, first);
      expectReplay(await ada.send(PLACE, { key, body }), first);
    },
  },
  {
    title: 'a retry of a cancellation gets the reply of the first',
    async check({ ada }) {
      const key = newKey();
      const [target, first] = await cancelSomeOrder(ada, key);
      expectReplay(await ada.send(target, { key }), first);
    },
  },
];

/** Cancels an order. When that is refused, a worker has changed the order already. */
async function changeOrder(user: User, placed: ReceivedReply): Promise<void> {
  const { status } = await user.send(cancellationOf(placed));
  expect(status === 200 || status === 409, `the server answered a cancellation with ${status}`);
}

/** Places orders until one is cancelled before a worker processes it. */
async function cancelSomeOrder(user: User, key: string): Promise<[Target, ReceivedReply]> {
  for (let tries = 0; tries < CANCEL_TRIES_MAX; tries += 1) {
    const placed = expectFirst(await user.send(PLACE, { body: newOrder() }), 201);
    const target = cancellationOf(placed);
    const reply = await user.send(target, { key });
    if (reply.status !== 409) return [target, expectFirst(reply, 200)];
  }
  throw new ReadableError(
    'Workers processed every order before it could be cancelled. Stop the workers, then run the ' +
      'conformance check again.',
  );
}
