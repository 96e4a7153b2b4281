import test from 'ava';
import { inHalves, type Step } from './halving.ts';

/** A step that fails for a batch with a bad item. `calls` has the items of each call, and its argument `again`. */
function stepThatRefuses(...bad: number[]) {
  const calls: [items: number[], again: boolean][] = [];
  const step: Step<number, string> = (items, again) => {
    calls.push([items, again]);
    const refused = items.find((item) => bad.includes(item));
    if (refused !== undefined) return Promise.reject(new RangeError(`not ${refused}`));
    return Promise.resolve(items.map((item) => `done ${item}`));
  };
  return { step, calls };
}

const isItemError = (error: unknown) => error instanceof RangeError;

/** What became of each item, in order: its outcome, or the message of its error. */
async function resultsOf(items: number[], step: Step<number, string>): Promise<string[]> {
  const results: string[] = [];
  for await (const part of inHalves(items, step, isItemError)) {
    if ('outcomes' in part) results.push(...part.outcomes);
    else results.push(...part.items.map(() => (part.error as Error).message));
  }
  return results;
}

const range = (from: number, to: number) =>
  Array.from({ length: to - from + 1 }, (_, index) => from + index);

test('a batch without a bad item is done by one call, and each item has its own outcome', async (t) => {
  const { step, calls } = stepThatRefuses();

  const results = await resultsOf([1, 2, 3], step);

  t.deepEqual(results, ['done 1', 'done 2', 'done 3']);
  t.deepEqual(calls, [[[1, 2, 3], false]]);
});

for (const bad of [1, 77, 100, 101, 200]) {
  test(`one bad item of 200 fails alone, and a few more calls are made: item ${bad}`, async (t) => {
    const { step, calls } = stepThatRefuses(bad);

    const results = await resultsOf(range(1, 200), step);

    t.deepEqual(
      results,
      range(1, 200).map((item) => (item === bad ? `not ${item}` : `done ${item}`)),
    );
    t.true(calls.length <= 1 + 2 * Math.ceil(Math.log2(200)), `${calls.length} calls`);
    t.deepEqual(
      calls.map(([, again]) => again),
      calls.map((_, index) => index > 0),
    );
  });
}

for (const [where, bad] of [
  ['in different halves', [2, 7]],
  ['in the same half', [6, 8]],
  ['next to each other', [4, 5]],
] as const) {
  test(`two bad items ${where} fail, each with its own error, and the others are done`, async (t) => {
    const { step } = stepThatRefuses(...bad);

    const results = await resultsOf(range(1, 8), step);

    t.deepEqual(
      results,
      range(1, 8).map((item) =>
        (bad as readonly number[]).includes(item) ? `not ${item}` : `done ${item}`,
      ),
    );
  });
}

test('an item that is alone in its batch is tried once', async (t) => {
  const { step, calls } = stepThatRefuses(1);

  const results = await resultsOf([1], step);

  t.deepEqual(results, ['not 1']);
  t.is(calls.length, 1);
});

test('an error that no single item has caused fails the whole batch after one call', async (t) => {
  const calls: number[][] = [];
  const step: Step<number, string> = (items) => {
    calls.push(items);
    return Promise.reject(new Error('no connection'));
  };

  const results = await resultsOf([1, 2, 3], step);

  t.deepEqual(results, ['no connection', 'no connection', 'no connection']);
  t.deepEqual(calls, [[1, 2, 3]]);
});

test('an error that no single item has caused fails one half, and the other half is done', async (t) => {
  const calls: number[][] = [];
  const step: Step<number, string> = (items) => {
    calls.push(items);
    if (items.length === 4) return Promise.reject(new RangeError('one of four'));
    if (items.includes(1)) return Promise.reject(new Error('no connection'));
    return Promise.resolve(items.map((item) => `done ${item}`));
  };

  const results = await resultsOf([1, 2, 3, 4], step);

  t.deepEqual(results, ['no connection', 'no connection', 'done 3', 'done 4']);
  t.deepEqual(calls, [
    [1, 2, 3, 4],
    [1, 2],
    [3, 4],
  ]);
});

test('each part is yielded as soon as it is done, before the next call begins', async (t) => {
  const { step, calls } = stepThatRefuses(4);
  const parts = inHalves([1, 2, 3, 4], step, isItemError);

  const { value } = await parts.next();

  t.deepEqual(value, { items: [1, 2], outcomes: ['done 1', 'done 2'] });
  t.deepEqual(
    calls.map(([items]) => items),
    [
      [1, 2, 3, 4],
      [1, 2],
    ],
  );
});
