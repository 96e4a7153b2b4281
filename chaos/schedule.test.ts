import test from 'ava';
import { crashPoints, type CrashPoint } from '../src/crash-point.ts';
import {
  APIS,
  describeFault,
  schedule,
  workerKinds,
  WORKERS,
  type Scheduled,
  type WorkerKind,
} from './schedule.ts';

const seeds = Array.from({ length: 200 }, (_, seed) => seed);

test('the same seed gives the same faults, another seed others', (t) => {
  t.deepEqual(schedule(7, 120), schedule(7, 120));
  t.notDeepEqual(schedule(7, 120), schedule(8, 120));
  t.deepEqual(schedule(7, 120).slice(0, 15), schedule(7, 30), 'a shorter run is its beginning');
});

test('120 seconds bring at least 30 faults of at least 8 kinds, whatever the seed', (t) => {
  for (const seed of seeds) {
    const faults = schedule(seed, 120);
    t.true(faults.length >= 30);
    t.is(new Set(faults.map(({ kind }) => kind)).size, 15);
  }
});

test('120 seconds reach every crash point of API and worker, whatever the seed', (t) => {
  for (const seed of seeds) {
    const faults = schedule(seed, 120);
    t.deepEqual(pointsOf(faults, 'crash-api'), [...crashPoints.api].sort());
    const kinds = workerKinds(seed);
    for (const kind of new Set(kinds)) {
      t.deepEqual(pointsOf(faults, 'crash-worker', kinds, kind), [...crashPoints[kind]].sort());
    }
  }
});

test('workers with and without an external step have their turns, also side by side', (t) => {
  t.deepEqual(workerKinds(0), ['worker', 'worker', 'worker']);
  t.deepEqual(workerKinds(1), ['fulfiller', 'fulfiller', 'fulfiller']);
  t.deepEqual(workerKinds(2), ['fulfiller', 'worker', 'worker']);
});

test('only a crash while a statement is under way comes after a delay', (t) => {
  const crashes = schedule(2, 6000).flatMap((f) => ('point' in f ? [f] : []));

  t.true(crashes.some(({ delayMs }) => delayMs > 0));
  t.true(crashes.every(({ point, delayMs }) => point === 'statement-sent' || delayMs === 0));
});

test('faults come in order, within the time, and to processes that there are', (t) => {
  for (const seed of seeds) {
    const faults = schedule(seed, 60);
    const times = faults.map(({ atMs }) => atMs);
    t.deepEqual(
      times,
      [...times].sort((a, b) => a - b),
    );
    t.true(times.every((ms) => ms > 0 && ms <= 60_000));
    for (const fault of faults) {
      if (!('target' in fault)) continue;
      t.true(fault.target >= 0 && fault.target < (fault.kind.endsWith('api') ? APIS : WORKERS));
    }
  }
});

test('a frozen worker stays so until its jobs have been taken over', (t) => {
  for (const fault of schedule(1, 600)) {
    if (fault.kind === 'freeze-worker') t.true(fault.pauseMs >= 15_000);
  }
});

test('a fault is described with everything that makes it', (t) => {
  const crash = { kind: 'crash-api', target: 1, point: 'after-commit', pass: 3, atMs: 1 } as const;

  t.is(describeFault({ ...crash, delayMs: 0 }), 'crash-api #1 point after-commit pass 3');
  t.is(describeFault({ ...crash, delayMs: 2 }), 'crash-api #1 point after-commit pass 3 delayMs 2');
});

function pointsOf(
  faults: Scheduled[],
  kind: 'crash-api' | 'crash-worker',
  kinds: WorkerKind[] = [],
  of?: WorkerKind,
): CrashPoint[] {
  const points = faults.flatMap((f) =>
    f.kind === kind && (of === undefined || kinds[f.target] === of) ? [f.point] : [],
  );
  return [...new Set(points)].sort();
}
