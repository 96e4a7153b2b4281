import test from 'ava';
import { isFlat } from './memory.ts';

test('memory that goes up and down is flat, and memory that only grows is not', (t) => {
  t.true(isFlat(around(150)));
  t.true(isFlat([80, 100, 120, ...around(150)]));
  t.true(isFlat([100]));
  t.false(isFlat(Array.from({ length: 40 }, (_, at) => 100 + at * 8)));
});

function around(mb: number): number[] {
  return Array.from({ length: 40 }, (_, at) => mb + (at % 5) * 8);
}
