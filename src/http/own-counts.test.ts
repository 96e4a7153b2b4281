import test from 'ava';
import { OwnCounts } from './own-counts.ts';

test('keys are counted one by one, and a shared count raises that of the process', (t) => {
  const counts = new OwnCounts(60);

  t.deepEqual([counts.add('a').used, counts.add('a').used, counts.add('b').used], [1, 2, 1]);
  counts.raise('a', 10, performance.now() + 30_000);
  counts.raise('a', 3, performance.now() + 30_000);

  t.is(counts.add('a').used, 11);
});

test('a count ends with its window', (t) => {
  const counts = new OwnCounts(60);
  counts.add('a');
  counts.raise('a', 10, performance.now() - 1);

  t.is(counts.add('a').used, 1);
});

test('a stranger with many addresses makes a process keep a bounded number of counts', (t) => {
  const counts = new OwnCounts(60, 100);
  for (let key = 0; key < 10_000; key += 1) counts.add(String(key));

  t.is(counts.size, 100);
  t.is(counts.add('9999').used, 2);
});
