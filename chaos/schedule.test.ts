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

test('the same seed gives the same faults, another seed gives others', (t) => {
  t.deepEqual(schedule(7, 120), schedule(7, 120));
  t.notDeepEqual(schedule(7, 120), schedule(8, 120));
  t.deepEqual(
    schedule(7, 120).slice(0, 15),
    schedule(7, 30),
    'a shorter run has the first of these faults',
  );
});

test('each of 200 seeds gives at least 30 faults, and all 15 kinds, in 120 seconds', (t) => {
  for (const seed of seeds) {
    const faults = schedule(seed, 120);
    t.true(faults.length >= 30);
    t.is(new Set(faults.map(({ kind }) => kind)).size, 15);
  }
});

test('each of 200 seeds crashes the API and the workers at each of their crash points in 120 seconds', (t) => {
  for (const seed of seeds) {
    const faults = schedule(seed, 120);
    t.deepEqual(pointsOf(faults, 'crash-api'), [...crashPoints.api].sort());
    const kinds = workerKinds(seed);
    for (const kind of new Set(kinds)) {
      t.deepEqual(pointsOf(faults, 'crash-worker', kinds, kind), [...crashPoints[kind]].sort());
    }
  }
});

test('depending on the seed, no worker has an external step, all have one, or only some have one', (t) => {
  t.deepEqual(workerKinds(0), ['worker', 'worker', 'worker']);
  t.deepEqual(workerKinds(1), ['fulfiller', 'fulfiller', 'fulfiller']);
  t.deepEqual(workerKinds(2), ['fulfiller', 'worker', 'worker']);
});

test('only a crash at the point statement-sent has a delay', (t) => {
  const crashes = schedule(2, 6000).flatMap((f) => ('point' in f ? [f] : []));

  t.true(crashes.some(({ delayMs }) => delayMs > 0));
  t.true(crashes.every(({ point, delayMs }) => point === 'statement-sent' || delayMs === 0));
});

test('faults are in order of time, within the run, and have targets that exist', (t) => {
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

test('a worker is frozen for at least 15 seconds, so others take over its jobs', (t) => {
  for (const fault of schedule(1, 600)) {
    if (fault.kind === 'freeze-worker') t.true(fault.pauseMs >= 15_000);
  }
});

test('the description of a fault has all its details, without its time and without a delay of 0', (t) => {
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
