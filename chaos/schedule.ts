/*
 * The faults of a run, with their targets and times. They depend on the seed and the duration alone, so a run can be
 * repeated. The timing of the processes depends on the machine, so the same faults can have other effects.
 */
import { crashPoints, type CrashPoint } from '../src/crash-point.ts';
import { createRandom, type Random } from './random.ts';

export const APIS = 2;
export const WORKERS = 3;

const SPACING_MS = 2000; // the mean time between two faults: 60 in 120 s
const JITTER_MS = 1000;
/** A crash comes up to this long after a statement was sent: before, while, or after Postgres runs it. */
const STATEMENT_MS = 12;
/** Longer than the heartbeat of 10 s, the check every second and the first back-off together. */
const TAKEOVER_MS = 15_000;

/** One fault. `target` counts the processes of its kind from 0. */
export type Fault =
  | { kind: 'kill-api' | 'kill-worker'; target: number }
  | { kind: 'freeze-api' | 'freeze-worker'; target: number; pauseMs: number }
  | {
      kind: 'crash-api' | 'crash-worker';
      target: number;
      point: CrashPoint;
      pass: number;
      delayMs: number;
    }
  | { kind: 'kill-backend'; door: Door; delayMs: number }
  | { kind: 'drop-results'; ms: number }
  | { kind: 'kill-redis' | 'restart-postgres' | 'crash-postgres'; downMs: number }
  | { kind: 'cut-all-connections' }
  | { kind: 'cut-some-connections'; share: number }
  | { kind: 'client-breaks-connections' }
  | { kind: 'client-times-out'; requests: number; timeoutMs: number };
export type FaultKind = Fault['kind'];
export type Scheduled = Fault & { atMs: number };

/** The kinds of workers: `worker` has no external step, `fulfiller` has one. */
export type WorkerKind = 'worker' | 'fulfiller';

/** The door functions whose statements change orders, by the kind of process that sends them. */
const doors = {
  api: ['place_orders'],
  worker: ['process_orders'],
  fulfiller: ['take_orders', 'settle_orders'],
} as const;
export type Door = (typeof doors)[keyof typeof doors][number];

/** The kinds of the workers of a run: all without an external step, all with one, or both kinds on one queue. */
export function workerKinds(seed: number): WorkerKind[] {
  const fulfillers = [0, WORKERS, 1][seed % 3] ?? 0;
  return Array.from({ length: WORKERS }, (_, i) => (i < fulfillers ? 'fulfiller' : 'worker'));
}

/** The kinds to draw from. Crashes and killed backends are in it several times: each has several points or doors. */
const kindsToDraw = [
  'kill-api',
  'kill-worker',
  'freeze-api',
  'freeze-worker',
  'crash-api',
  'crash-api',
  'crash-api',
  'crash-worker',
  'crash-worker',
  'crash-worker',
  'kill-backend',
  'kill-backend',
  'drop-results',
  'kill-redis',
  'restart-postgres',
  'crash-postgres',
  'cut-all-connections',
  'cut-some-connections',
  'client-breaks-connections',
  'client-times-out',
] as const satisfies FaultKind[];

/** The faults of a run, in order. */
export function schedule(seed: number, seconds: number): Scheduled[] {
  const random = createRandom(seed);
  const nextKind = shuffleBag(random, kindsToDraw);
  const kinds = workerKinds(seed);
  const points = [...new Set(kinds)].flatMap((of) =>
    crashPoints[of].map((point) => ({ of, point })),
  );
  const draws = {
    kinds,
    apiPoint: shuffleBag<CrashPoint>(random, crashPoints.api),
    workerPoint: shuffleBag(random, points),
    door: shuffleBag<Door>(random, [
      ...doors.api,
      ...[...new Set(kinds)].flatMap((kind): readonly Door[] => doors[kind]),
    ]),
  };
  const faults: Scheduled[] = [];
  for (let slotMs = SPACING_MS; slotMs <= seconds * 1000; slotMs += SPACING_MS) {
    const atMs = Math.round(slotMs - random.between(0, JITTER_MS));
    faults.push({ atMs, ...drawFault(random, nextKind(), draws) });
  }
  return faults;
}

type Draws = {
  kinds: WorkerKind[];
  apiPoint: () => CrashPoint;
  workerPoint: () => { of: WorkerKind; point: CrashPoint };
  door: () => Door;
};

function drawFault(random: Random, kind: FaultKind, draws: Draws): Fault {
  const api = () => random.integer(0, APIS - 1);
  const worker = () => random.integer(0, WORKERS - 1);
  const ms = (min: number, max: number) => Math.round(random.between(min, max));
  switch (kind) {
    case 'kill-api':
      return { kind, target: api() };
    case 'kill-worker':
      return { kind, target: worker() };
    case 'freeze-api':
      return { kind, target: api(), pauseMs: ms(500, 8000) };
    case 'freeze-worker':
      return { kind, target: worker(), pauseMs: ms(TAKEOVER_MS, TAKEOVER_MS + 4000) };
    case 'crash-api':
      return { kind, target: api(), ...crash(random, draws.apiPoint(), 20) };
    case 'crash-worker': {
      const { of, point } = draws.workerPoint();
      const targets = draws.kinds.flatMap((each, index) => (each === of ? [index] : []));
      const target = targets[random.integer(0, targets.length - 1)] ?? 0;
      return { kind, target, ...crash(random, point, 5) };
    }
    case 'kill-backend':
      return { kind, door: draws.door(), delayMs: ms(0, 3) };
    case 'drop-results':
      return { kind, ms: ms(5, 100) };
    case 'kill-redis':
      return { kind, downMs: ms(0, 5000) };
    case 'restart-postgres':
    case 'crash-postgres':
      return { kind, downMs: ms(0, 3000) };
    case 'cut-all-connections':
    case 'client-breaks-connections':
      return { kind };
    case 'cut-some-connections':
      return { kind, share: random.between(0.1, 0.9) };
    case 'client-times-out':
      return { kind, requests: random.integer(10, 50), timeoutMs: ms(1, 40) };
  }
}

function crash(random: Random, point: CrashPoint, passMax: number) {
  const pass = random.integer(1, passMax);
  const delayMs = Math.round(random.between(0, STATEMENT_MS));
  return { point, pass, delayMs: point === 'statement-sent' ? delayMs : 0 };
}

/** Returns a function that draws the items in random order. It draws each once before it draws any again. */
function shuffleBag<T>(random: Random, items: readonly T[]): () => T {
  let left: T[] = [];
  return () => {
    if (left.length === 0) left = random.shuffled(items);
    return left.pop() as T;
  };
}

/** A short description of a fault without its time. */
export function describeFault({ kind, ...details }: Fault): string {
  const words = Object.entries(details).flatMap(([name, value]) => {
    if (name === 'atMs' || name === 'happenedAt') return [];
    if (name === 'target') return `#${value}`;
    if (name === 'delayMs' && value === 0) return [];
    return `${name} ${typeof value === 'number' ? Math.round(value * 100) / 100 : value}`;
  });
  return [kind, ...words].join(' ');
}
