/*
 * Rules about the scope of a key: it belongs to one user, one path and one method.
 */
import {
  cancellationOf,
  expect,
  expectFirst,
  expectNotReplayed,
  expectOrders,
  newKey,
  newOrder,
  PLACE,
  type Rule,
} from '../rule.ts';

export const scopeRules: Rule[] = [
  {
    title: 'two users can use the same key',
    async check({ ada, bob }) {
      const [key, body] = [newKey(), newOrder()];
      const first = expectFirst(await ada.send(PLACE, { key, body }), 201);
      const second = expectFirst(await bob.send(PLACE, { key, body }), 201);
      expect(first.text !== second.text, 'both got the same order');
    },
  },
  {
    title: 'a key can be used again at another path, by another method',
    async check({ ada }) {
      const [key, body] = [newKey(), newOrder()];
      const first = expectFirst(await ada.send(PLACE, { key, body }), 201);
      expectFirst(await ada.send(['POST', '/orders/create'], { key, body }), 201);
      await expectOrders(ada, body, 2);
      expectNotReplayed(await ada.send(cancellationOf(first), { key }));
    },
  },
];
