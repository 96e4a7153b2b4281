import test from 'ava';
import { Movement } from './movement.ts';

const QUEUES = ['process-order', 'audit'] as const;
const due = (queue: (typeof QUEUES)[number], due_ms: number | null, paused = false) => [
  { queue, paused, due_ms },
];
const never = () => Number.NEGATIVE_INFINITY;

test('a queue with due jobs is stuck after a minute without work on it', (t) => {
  const movement = new Movement(QUEUES, 0);

  for (let now = 0; now <= 70_000; now += 1_000)
    movement.record(due('process-order', 500), never, now);

  t.deepEqual(movement.stuckQueues(70_000), ['process-order']);
});

test('a queue is not stuck while work on it begins or ends', (t) => {
  const movement = new Movement(QUEUES, 0);

  for (let now = 0; now <= 200_000; now += 1_000)
    movement.record(due('process-order', 100_000), () => now - 50_000, now);

  t.deepEqual(movement.stuckQueues(200_000), []);
});

test('a queue is not stuck when it is paused or has no due jobs', (t) => {
  const movement = new Movement(QUEUES, 0);

  for (let now = 0; now <= 200_000; now += 1_000) {
    movement.record(due('process-order', 100_000, true), never, now);
    movement.record(due('audit', null), never, now);
  }

  t.deepEqual(movement.stuckQueues(200_000), []);
});

test('when the queues have not been checked for 15 s, all of them count as stuck', (t) => {
  const movement = new Movement(QUEUES, 0);
  movement.record(due('audit', null), never, 1_000);

  t.deepEqual(movement.stuckQueues(10_000), []);
  t.deepEqual(movement.stuckQueues(60_000), ['process-order', 'audit']);
});
