import test from 'ava';
import { shareFor } from './share.ts';

test('callers share one call while it runs, and its result until a time has passed', async (t) => {
  let calls = 0;
  const { promise, resolve } = Promise.withResolvers<void>();
  const ask = shareFor(60_000, async () => {
    calls += 1;
    await promise;
    return calls;
  });

  const first = Array.from({ length: 100 }, () => ask());
  resolve();
  await Promise.all(first);
  const later = await ask();

  t.is(calls, 1);
  t.is(later, 1);
});

test('after this time, the next caller starts another call', async (t) => {
  let calls = 0;
  const ask = shareFor(0, () => Promise.resolve((calls += 1)));

  await ask();
  await ask();

  t.is(calls, 2);
});
