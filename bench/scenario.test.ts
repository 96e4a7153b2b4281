import test from 'ava';
import { inTurn } from './scenario.ts';

test('each round begins with another contestant, the warm-up and the first with the first', (t) => {
  const begun = [0, 1, 2, 3, 4].map((round) => inTurn(['A', 'B', 'C'], round).join(''));

  t.deepEqual(begun, ['ABC', 'ABC', 'BCA', 'CAB', 'ABC']);
});
