import test from 'ava';
import { isExact } from './exact-number.ts';

const exact = ['0', '-0', '0.0', '1', '-1.50e1', '1.5E+1', '0.30', '100', '1e21', '1e-300', '0e99'];
const inexact = ['1e309', '-1e309', '0.10000000000000000001', '9007199254740993', '1e-400'];

test('a number is exact when a double holds the same value, in any notation', (t) => {
  for (const source of exact) t.true(isExact(Number(source), source), source);
  for (const source of inexact) t.false(isExact(Number(source), source), source);
});

// In quadratic time, the third size would take minutes and the last one hours.
test('a number with millions of digits is checked in linear time', (t) => {
  for (const zeros of [10, 1000, 1_000_000, 20_000_000]) {
    const long = '0'.repeat(zeros);
    t.true(isExact(1, `1.${long}`));
    t.false(isExact(1, `1.${long}1`));
    t.true(isExact(0, `0.${long}`));
    t.true(isExact(0, `0.${long}e${zeros}`));
    t.false(isExact(Number.POSITIVE_INFINITY, `1${long}1${long}`.padEnd(400, '0')));
  }
});
