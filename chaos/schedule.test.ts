import test from 'ava';
import { crashPoints } from '../src/crash-point.ts';
import { APIS, describeFault, schedule, WORKERS, type Scheduled } from './schedule.ts';

const seeds = Array.from({ length: 200 }, (_, seed) => seed);

test('the same seed gives the same faults, another seed others', (t) => {
  t.deepEqual(schedule(7, 120), schedule(7, 120));
  t.notDeepEqual(schedule(7, 120), schedule(8, 120));
  t.deepEqual(schedule(7, 120).slice(0, 12), schedule(7, 30), 'a shorter run is its beginning');
});

test('120 seconds bring at least 30 faults of at least 8 kinds, whatever the seed', (t) => {
  for (const seed of seeds) {
    const faults = schedule(seed, 120);
    t.true(faults.length >= 30);
    t.is(new Set(faults.map(({ kind }) => kind)).size, 13);
  }
});

test('120 seconds reach every crash point of API and worker, whatever the seed', (t) => {
  for (const seed of seeds) {
    const faults = schedule(seed, 120);
    t.deepEqual(pointsOf(faults, 'crash-api'), [...crashPoints.api].sort());
    t.deepEqual(pointsOf(faults, 'crash-worker'), [...crashPoints.worker].sort());
  }
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
  const fault = { kind: 'crash-api', target: 1, point: 'after-commit', pass: 3, atMs: 1 } as const;

  t.is(describeFault(fault), 'crash-api #1 point after-commit pass 3');
});

function pointsOf(faults: Scheduled[], kind: 'crash-api' | 'crash-worker'): string[] {
  return [...new Set(faults.flatMap((f) => (f.kind === kind ? [f.point] : [])))].sort();
}
