/*
 * Rules about the header itself: which keys are valid, and requests without a key.
 */
import { randomUUID } from 'node:crypto';
import {
  expectFirst,
  expectOrders,
  expectProblem,
  newOrder,
  PLACE,
  type Rule,
  type Run,
} from '../rule.ts';

const KEY_CHARACTERS_MAX = 255;

const INVALID = {
  'an empty key': '',
  'an empty string as key': '""',
  'a key without a closing quote': '"open',
  'two words without quotes': 'two words',
  'a key with a character outside ASCII': '"\u00e4"',
  'two keys': '"one", "two"',
  'a key of 256 characters': `"${'k'.repeat(KEY_CHARACTERS_MAX + 1)}"`,
};

export const keyRules: Rule[] = [
  ...Object.entries(INVALID).map(([what, key]) => ({
    title: `a request with ${what} gets 400 and has no effect`,
    async check({ ada }: Run) {
      const body = newOrder();
      expectProblem(await ada.send(PLACE, { key, body }), 400);
      await expectOrders(ada, body, 0);
    },
  })),
  {
    title: 'a key of 255 characters is accepted',
    async check({ ada }) {
      const key = randomUUID().padEnd(KEY_CHARACTERS_MAX, 'k');
      expectFirst(await ada.send(PLACE, { key: `"${key}"`, body: newOrder() }), 201);
    },
  },
  {
    title: 'each request without a key has an effect',
    async check({ ada }) {
      const body = newOrder();
      expectFirst(await ada.send(PLACE, { body }), 201);
      expectFirst(await ada.send(PLACE, { body }), 201);
      await expectOrders(ada, body, 2);
    },
  },
];
