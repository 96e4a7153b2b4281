import test from 'ava';
import { ConnectionError } from 'slonik';
import { ClientGone, createBatcher, BatcherFull } from './batcher.ts';

/** A batcher whose transactions end when the test says so, and the items that each of them took. */
function heldBatcher(
  options: { inFlightMax?: number; batchSizeMax?: number; waitingMax?: number } = {},
) {
  const batches: number[][] = [];
  const ends: PromiseWithResolvers<(string | Error)[]>[] = [];
  const batcher = createBatcher<number, string>({
    inFlightMax: 1,
    batchSizeMax: 100,
    waitingMax: 100,
    ...options,
    commit(items) {
      const end = Promise.withResolvers<(string | Error)[]>();
      batches.push(items);
      ends.push(end);
      return end.promise;
    },
    isOneToBlame: (error) => error instanceof RangeError,
  });
  const commit = (batch: number) => ends[batch]?.resolve((batches[batch] ?? []).map(String));
  const refuse = (batch: number, error: Error) => ends[batch]?.reject(error);
  return { batcher, batches, commit, refuse };
}

/** One turn of the event loop. After it, everything that can start has started. */
const turn = () => new Promise((resolve) => setImmediate(() => setImmediate(resolve)));

const range = (from: number, to: number) =>
  Array.from({ length: to - from + 1 }, (_, index) => from + index);

test('an item that comes alone goes at once', async (t) => {
  const { batcher, batches, commit } = heldBatcher();

  const outcome = batcher.add(1);
  await turn();
  commit(0);

  t.deepEqual(batches, [[1]]);
  t.is(await outcome, '1');
});

test('what arrives while a transaction is in flight goes with the next one, each with its own outcome', async (t) => {
  const { batcher, batches, commit } = heldBatcher();
  const first = batcher.add(1);
  await turn();

  const others = range(2, 50).map((item) => batcher.add(item));
  await turn();
  t.is(batcher.waiting(), 49);
  commit(0);
  await turn();
  commit(1);

  t.is(await first, '1');
  t.deepEqual(await Promise.all(others), range(2, 50).map(String));
  t.deepEqual(batches, [[1], range(2, 50)]);
});

test('no more transactions are in flight, and none takes more items, than the settings allow', async (t) => {
  const { batcher, batches, commit } = heldBatcher({ inFlightMax: 2, batchSizeMax: 3 });

  const outcomes = range(1, 8).map((item) => batcher.add(item));
  await turn();
  const last = batcher.add(9);
  await turn();
  t.deepEqual(batches, [[1, 2, 3], [4, 5, 6]]); // prettier-ignore
  commit(0);
  commit(1);
  await turn();
  commit(2);
  commit(3);

  t.deepEqual(await Promise.all([...outcomes, last]), range(1, 9).map(String));
});

test('one item that cannot be committed fails alone, at the cost of a few more transactions', async (t) => {
  const commits: boolean[] = [];
  const batcher = createBatcher<number, string>({
    inFlightMax: 1,
    batchSizeMax: 1000,
    waitingMax: 1000,
    commit(items, again) {
      commits.push(again);
      if (items.includes(77)) return Promise.reject(new RangeError('not 77'));
      return Promise.resolve(items.map(String));
    },
    isOneToBlame: (error) => error instanceof RangeError,
  });

  const settled = await Promise.allSettled(range(1, 200).map((item) => batcher.add(item)));

  const failed = settled.flatMap(({ status }, index) => (status === 'rejected' ? index + 1 : []));
  t.deepEqual(failed, [77]);
  t.true(commits.length <= 1 + 2 * Math.ceil(Math.log2(200)), `${commits.length} transactions`);
  t.deepEqual(commits, [false, ...commits.slice(1).fill(true)], 'each but the first is told so');
});

test('an outcome that is an error is that item’s alone', async (t) => {
  const batcher = createBatcher<number, string>({
    inFlightMax: 1,
    batchSizeMax: 10,
    waitingMax: 10,
    commit: (items) => Promise.resolve(items.map((item) => (item === 2 ? new Error('2') : 'ok'))),
    isOneToBlame: () => false,
  });

  const settled = await Promise.allSettled([1, 2, 3].map((item) => batcher.add(item)));

  t.deepEqual(
    settled.map(({ status }) => status),
    ['fulfilled', 'rejected', 'fulfilled'],
  );
});

test('an error that is nobody’s own fails the batch and leaves those who wait their turn', async (t) => {
  const { batcher, commit, refuse } = heldBatcher();
  const first = batcher.add(1);
  await turn();
  const second = batcher.add(2);

  refuse(0, new TypeError('broken'));
  await t.throwsAsync(first, { message: 'broken' });
  await turn();
  commit(1);

  t.is(await second, '2');
});

test('when there is no hope for those who wait, they are told at once', async (t) => {
  const { batcher, batches, refuse } = heldBatcher();
  const outcomes = [batcher.add(1)];
  await turn();
  outcomes.push(batcher.add(2), batcher.add(3));

  refuse(0, new ConnectionError('no database'));
  const settled = await Promise.allSettled(outcomes);

  t.true(settled.every(({ status }) => status === 'rejected'));
  t.deepEqual(batches, [[1]]);
});

test('more than may wait are refused, and those before them are not', async (t) => {
  const { batcher, commit } = heldBatcher({ waitingMax: 2 });
  const taken = batcher.add(1);
  await turn();

  const waiting = [batcher.add(2), batcher.add(3)];
  await t.throwsAsync(batcher.add(4), { instanceOf: BatcherFull });
  commit(0);
  await turn();
  commit(1);

  t.deepEqual(await Promise.all([taken, ...waiting]), ['1', '2', '3']);
});

test('callers that are gone take nobody’s place', async (t) => {
  const { batcher, batches, commit } = heldBatcher({ waitingMax: 2 });
  const caller = { destroyed: false };
  const taken = batcher.add(1);
  await turn();
  const gone = [batcher.add(2, caller), batcher.add(3, caller)];
  caller.destroyed = true;

  const last = batcher.add(4);
  for (const outcome of gone) await t.throwsAsync(outcome, { instanceOf: ClientGone });
  commit(0);
  await turn();
  commit(1);

  t.deepEqual(await Promise.all([taken, last]), ['1', '4']);
  t.deepEqual(batches, [[1], [4]]);
});

test('a caller that is gone before its turn is passed over', async (t) => {
  const { batcher, batches, commit } = heldBatcher();
  const caller = { destroyed: false };
  const first = batcher.add(1, caller);
  await turn();
  const second = batcher.add(2, caller);
  const third = batcher.add(3);

  caller.destroyed = true;
  commit(0);
  await t.throwsAsync(second, { instanceOf: ClientGone });
  commit(1);

  t.is(await first, '1', 'what was taken before is committed all the same');
  t.is(await third, '3');
  t.deepEqual(batches, [[1], [3]]);
});
