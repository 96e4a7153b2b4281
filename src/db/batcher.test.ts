import test from 'ava';
import { ConnectionError } from 'slonik';
import { Batcher, BatcherFull, Abandoned } from './batcher.ts';

/** A batcher whose transactions end by `commit` or `refuse`. `batches` has the items of each transaction. */
function heldBatcher(
  options: { inFlightMax?: number; batchSizeMax?: number; waitingMax?: number } = {},
) {
  const batches: number[][] = [];
  const ends: PromiseWithResolvers<(string | Error)[]>[] = [];
  const batcher = new Batcher<number, string>({
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
    isItemError: (error) => error instanceof RangeError,
  });
  const commit = (batch: number) => ends[batch]?.resolve((batches[batch] ?? []).map(String));
  const refuse = (batch: number, error: Error) => ends[batch]?.reject(error);
  return { batcher, batches, commit, refuse };
}

/** Two turns of the event loop. After them, everything that can start has started. */
const turn = () => new Promise((resolve) => setImmediate(() => setImmediate(resolve)));

const range = (from: number, to: number) =>
  Array.from({ length: to - from + 1 }, (_, index) => from + index);

test('an item that arrives alone is committed at once', async (t) => {
  const { batcher, batches, commit } = heldBatcher();

  const outcome = batcher.add(1);
  await turn();
  commit(0);

  t.deepEqual(batches, [[1]]);
  t.is(await outcome, '1');
});

test('items that arrive while a transaction is in flight share the next one, each with its own outcome', async (t) => {
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

test('no more transactions are in flight than allowed, and none takes more items than allowed', async (t) => {
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

test('one item that cannot be committed fails alone, and a few more transactions are made', async (t) => {
  const commits: boolean[] = [];
  const batcher = new Batcher<number, string>({
    inFlightMax: 1,
    batchSizeMax: 1000,
    waitingMax: 1000,
    commit(items, again) {
      commits.push(again);
      if (items.includes(77)) return Promise.reject(new RangeError('not 77'));
      return Promise.resolve(items.map(String));
    },
    isItemError: (error) => error instanceof RangeError,
  });

  const settled = await Promise.allSettled(range(1, 200).map((item) => batcher.add(item)));

  const failed = settled.flatMap(({ status }, index) => (status === 'rejected' ? index + 1 : []));
  t.deepEqual(failed, [77]);
  t.true(commits.length <= 1 + 2 * Math.ceil(Math.log2(200)), `${commits.length} transactions`);
  t.deepEqual(commits, [false, ...commits.slice(1).fill(true)]);
});

test('an outcome that is an error rejects its item, and no other one', async (t) => {
  const batcher = new Batcher<number, string>({
    inFlightMax: 1,
    batchSizeMax: 10,
    waitingMax: 10,
    commit: (items) => Promise.resolve(items.map((item) => (item === 2 ? new Error('2') : 'ok'))),
    isItemError: () => false,
  });

  const settled = await Promise.allSettled([1, 2, 3].map((item) => batcher.add(item)));

  t.deepEqual(
    settled.map(({ status }) => status),
    ['fulfilled', 'rejected', 'fulfilled'],
  );
});

test('an error that no single item has caused rejects the batch, and not the waiting items', async (t) => {
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

test('without a connection to the database, the waiting items are rejected at once', async (t) => {
  const { batcher, batches, refuse } = heldBatcher();
  const outcomes = [batcher.add(1)];
  await turn();
  outcomes.push(batcher.add(2), batcher.add(3));

  refuse(0, new ConnectionError('no database'));
  const settled = await Promise.allSettled(outcomes);

  t.true(settled.every(({ status }) => status === 'rejected'));
  t.deepEqual(batches, [[1]]);
});

test('an item is refused when too many are waiting, and the waiting items are committed', async (t) => {
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

test('items whose clients have disconnected make room for another item', async (t) => {
  const { batcher, batches, commit } = heldBatcher({ waitingMax: 2 });
  const client = { destroyed: false, writableEnded: false };
  const taken = batcher.add(1);
  await turn();
  const gone = [batcher.add(2, client), batcher.add(3, client)];
  client.destroyed = true;

  const last = batcher.add(4);
  for (const outcome of gone) await t.throwsAsync(outcome, { instanceOf: Abandoned });
  commit(0);
  await turn();
  commit(1);

  t.deepEqual(await Promise.all([taken, last]), ['1', '4']);
  t.deepEqual(batches, [[1], [4]]);
});

for (const [what, change] of [
  ['disconnects', { destroyed: true }],
  ['gets another reply', { writableEnded: true }],
] as const) {
  test(`an item whose client ${what} before the item’s turn is not committed`, async (t) => {
    const { batcher, batches, commit } = heldBatcher();
    const client = { destroyed: false, writableEnded: false };
    const first = batcher.add(1, client);
    await turn();
    const second = batcher.add(2, client);
    const third = batcher.add(3);

    Object.assign(client, change);
    commit(0);
    await t.throwsAsync(second, { instanceOf: Abandoned });
    commit(1);

    t.is(await first, '1', 'its transaction had begun before');
    t.is(await third, '3');
    t.deepEqual(batches, [[1], [3]]);
  });
}
