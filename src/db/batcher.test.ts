import test from 'ava';
import { ConnectionError } from 'slonik';
import { Abandoned, createGroupCommit, GroupFull } from './batcher.ts';

/** A group whose transactions end when the test says so, and what each of them took. */
function heldGroup(options: { lanes?: number; sizeMax?: number; waitingMax?: number } = {}) {
  const batches: number[][] = [];
  const ends: PromiseWithResolvers<(string | Error)[]>[] = [];
  const group = createGroupCommit<number, string>({
    lanes: 1,
    sizeMax: 100,
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
  return { group, batches, commit, refuse };
}

/** One turn of the event loop. After it, everything that can start has started. */
const turn = () => new Promise((resolve) => setImmediate(() => setImmediate(resolve)));

const range = (from: number, to: number) =>
  Array.from({ length: to - from + 1 }, (_, index) => from + index);

test('an item that comes alone goes at once', async (t) => {
  const { group, batches, commit } = heldGroup();

  const outcome = group.add(1);
  await turn();
  commit(0);

  t.deepEqual(batches, [[1]]);
  t.is(await outcome, '1');
});

test('what arrives while a transaction is in flight goes with the next one, each with its own outcome', async (t) => {
  const { group, batches, commit } = heldGroup();
  const first = group.add(1);
  await turn();

  const others = range(2, 50).map((item) => group.add(item));
  await turn();
  t.is(group.waiting(), 49);
  commit(0);
  await turn();
  commit(1);

  t.is(await first, '1');
  t.deepEqual(await Promise.all(others), range(2, 50).map(String));
  t.deepEqual(batches, [[1], range(2, 50)]);
});

test('no more transactions are in flight than there are lanes, and none takes more than it may', async (t) => {
  const { group, batches, commit } = heldGroup({ lanes: 2, sizeMax: 3 });

  const outcomes = range(1, 8).map((item) => group.add(item));
  await turn();
  const last = group.add(9);
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
  const group = createGroupCommit<number, string>({
    lanes: 1,
    sizeMax: 1000,
    waitingMax: 1000,
    commit(items, again) {
      commits.push(again);
      if (items.includes(77)) return Promise.reject(new RangeError('not 77'));
      return Promise.resolve(items.map(String));
    },
    isOneToBlame: (error) => error instanceof RangeError,
  });

  const settled = await Promise.allSettled(range(1, 200).map((item) => group.add(item)));

  const failed = settled.flatMap(({ status }, index) => (status === 'rejected' ? index + 1 : []));
  t.deepEqual(failed, [77]);
  t.true(commits.length <= 1 + 2 * Math.ceil(Math.log2(200)), `${commits.length} transactions`);
  t.deepEqual(commits, [false, ...commits.slice(1).fill(true)], 'each but the first is told so');
});

test('an outcome that is an error is that item’s alone', async (t) => {
  const group = createGroupCommit<number, string>({
    lanes: 1,
    sizeMax: 10,
    waitingMax: 10,
    commit: (items) => Promise.resolve(items.map((item) => (item === 2 ? new Error('2') : 'ok'))),
    isOneToBlame: () => false,
  });

  const settled = await Promise.allSettled([1, 2, 3].map((item) => group.add(item)));

  t.deepEqual(
    settled.map(({ status }) => status),
    ['fulfilled', 'rejected', 'fulfilled'],
  );
});

test('an error that is nobody’s own fails the batch and leaves those who wait their turn', async (t) => {
  const { group, commit, refuse } = heldGroup();
  const first = group.add(1);
  await turn();
  const second = group.add(2);

  refuse(0, new TypeError('broken'));
  await t.throwsAsync(first, { message: 'broken' });
  await turn();
  commit(1);

  t.is(await second, '2');
});

test('when there is no hope for those who wait, they are told at once', async (t) => {
  const { group, batches, refuse } = heldGroup();
  const outcomes = [group.add(1)];
  await turn();
  outcomes.push(group.add(2), group.add(3));

  refuse(0, new ConnectionError('no database'));
  const settled = await Promise.allSettled(outcomes);

  t.true(settled.every(({ status }) => status === 'rejected'));
  t.deepEqual(batches, [[1]]);
});

test('more than may wait are refused, and those before them are not', async (t) => {
  const { group, commit } = heldGroup({ waitingMax: 2 });
  const taken = group.add(1);
  await turn();

  const waiting = [group.add(2), group.add(3)];
  await t.throwsAsync(group.add(4), { instanceOf: GroupFull });
  commit(0);
  await turn();
  commit(1);

  t.deepEqual(await Promise.all([taken, ...waiting]), ['1', '2', '3']);
});

test('callers that are gone take nobody’s place', async (t) => {
  const { group, batches, commit } = heldGroup({ waitingMax: 2 });
  const caller = { destroyed: false };
  const taken = group.add(1);
  await turn();
  const gone = [group.add(2, caller), group.add(3, caller)];
  caller.destroyed = true;

  const last = group.add(4);
  for (const outcome of gone) await t.throwsAsync(outcome, { instanceOf: Abandoned });
  commit(0);
  await turn();
  commit(1);

  t.deepEqual(await Promise.all([taken, last]), ['1', '4']);
  t.deepEqual(batches, [[1], [4]]);
});

test('a caller that is gone before its turn is passed over', async (t) => {
  const { group, batches, commit } = heldGroup();
  const caller = { destroyed: false };
  const first = group.add(1, caller);
  await turn();
  const second = group.add(2, caller);
  const third = group.add(3);

  caller.destroyed = true;
  commit(0);
  await t.throwsAsync(second, { instanceOf: Abandoned });
  commit(1);

  t.is(await first, '1', 'what was taken before is committed all the same');
  t.is(await third, '3');
  t.deepEqual(batches, [[1], [3]]);
});
