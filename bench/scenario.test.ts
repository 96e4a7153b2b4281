import test from 'ava';
import { inTurn } from './scenario.ts';

test('each round starts with the next contestant; the warm-up and round 1 start with the first', (t) => {
  const orders = [0, 1, 2, 3, 4].map((round) => inTurn(['A', 'B', 'C'], round).join(''));

  t.deepEqual(orders, ['ABC', 'ABC', 'BCA', 'CAB', 'ABC']);
});
