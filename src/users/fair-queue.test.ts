import test from 'ava';
import { FairQueue } from './fair-queue.ts';

/** A queue that runs one piece of work at a time, and work that ends after the test has called `open`. */
function queueOf(bounds: { networkWaitingMax?: number; waitingMax?: number } = {}) {
  const queue = new FairQueue({ concurrency: 1, networkWaitingMax: 9, waitingMax: 99, ...bounds });
  const order: string[] = [];
  const { promise: opened, resolve: open } = Promise.withResolvers<void>();
  const add = async (name: string, network = name[0] ?? '', response = { destroyed: false }) => {
    try {
      await queue.run({ network, response }, async () => {
        await opened;
        order.push(name);
      });
      return 'done';
    } catch (error) {
      return (error as { slug?: string }).slug ?? 'failed';
    }
  };
  return { queue, order, open, add };
}

test('networks take turns, so a network that sends much work delays only its own work', async (t) => {
  const { order, open, add } = queueOf();

  const all = ['a0', 'a1', 'a2', 'a3', 'a4', 'b0', 'b1', 'c0'].map((name) => add(name));
  open();
  await Promise.all(all);

  t.deepEqual(order, ['a0', 'a1', 'b0', 'c0', 'a2', 'b1', 'a3', 'a4']);
});

test('further work of a network with too much waiting work is refused, and that of others is not', async (t) => {
  const { order, open, add } = queueOf({ networkWaitingMax: 2 });

  const flood = ['a0', 'a1', 'a2', 'a3', 'a4'].map((name) => add(name));
  const honest = add('b0');
  open();

  t.deepEqual(await Promise.all(flood), ['done', 'done', 'done', 'overloaded', 'overloaded']);
  t.is(await honest, 'done');
  t.deepEqual(order, ['a0', 'a1', 'b0', 'a2']);
});

test('in a full queue, new work of others replaces the newest work of the network with the most', async (t) => {
  const { order, open, add } = queueOf({ waitingMax: 4 });

  const flood = ['a0', 'a1', 'a2', 'a3', 'a4'].map((name) => add(name));
  const others = ['b0', 'c0', 'd0', 'a5'].map((name) => add(name));
  open();

  const ends = await Promise.all([...flood, ...others]);
  t.deepEqual(ends.slice(0, 5), ['done', 'done', 'overloaded', 'overloaded', 'overloaded']);
  t.deepEqual(ends.slice(5), ['done', 'done', 'done', 'overloaded']);
  t.deepEqual(order, ['a0', 'a1', 'b0', 'c0', 'd0']);
});

test('work whose client has disconnected is dropped when its turn comes', async (t) => {
  const { order, open, add } = queueOf();
  const gone = { destroyed: true };

  const all = [add('a0'), add('a1', 'a', gone), add('b0', 'b', gone), add('a2')];
  open();

  t.deepEqual(await Promise.all(all), ['done', 'overloaded', 'overloaded', 'done']);
  t.deepEqual(order, ['a0', 'a2']);
});

test('after work that fails, the next work runs', async (t) => {
  const { queue, open, add } = queueOf();
  const caller = { network: 'a' };

  const failing = queue.run(caller, () => Promise.reject(new Error('broken')));
  const next = add('a1');
  open();

  await t.throwsAsync(failing, { message: 'broken' });
  t.is(await next, 'done');
});

test('no more pieces of work run at once than allowed', async (t) => {
  const queue = new FairQueue({ concurrency: 4, networkWaitingMax: 200, waitingMax: 1000 });
  let running = 0;
  let most = 0;
  const work = async () => {
    running += 1;
    most = Math.max(most, running);
    await new Promise(setImmediate);
    running -= 1;
  };

  const networks = Array.from({ length: 100 }, (_, at) => ({ network: String(at % 7) }));
  await Promise.all(networks.map((caller) => queue.run(caller, work)));

  t.is(most, 4);
});
