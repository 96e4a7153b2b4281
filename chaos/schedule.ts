/*
 * Which faults, on whom, and when: a pure function of the seed, so that a run can be had again. What the
 * faults meet is up to the machine; the same seed brings the same pressure, not the same microsecond.
 */
import { crashPoints, type CrashPoint } from '../src/crash-point.ts';
import { createRandom, type Random } from './random.ts';

export const APIS = 2;
export const WORKERS = 3;

const SPACING_MS = 2500; // one fault so often: 48 in 120 s
const JITTER_MS = 1000;
/** Longer than the heartbeat of 10 s, the look every 2 s and the first back-off together. */
const TAKEOVER_MS = 15_000;

/** One fault. `target` counts the processes of its kind from 0. */
export type Fault =
  | { kind: 'kill-api' | 'kill-worker'; target: number }
  | { kind: 'freeze-api' | 'freeze-worker'; target: number; pauseMs: number }
  | { kind: 'crash-api' | 'crash-worker'; target: number; point: CrashPoint; pass: number }
  | { kind: 'kill-redis' | 'restart-postgres' | 'crash-postgres'; downMs: number }
  | { kind: 'cut-all-connections' }
  | { kind: 'cut-some-connections'; share: number }
  | { kind: 'client-breaks-connections' }
  | { kind: 'client-times-out'; requests: number; timeoutMs: number };
export type FaultKind = Fault['kind'];
export type Scheduled = Fault & { atMs: number };

/** Dealt like cards: every kind has its turn before any comes again. Crash points are many, so more often. */
const deck = [
  'kill-api',
  'kill-worker',
  'freeze-api',
  'freeze-worker',
  'crash-api',
  'crash-api',
  'crash-api',
  'crash-worker',
  'crash-worker',
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
  const nextKind = dealer(random, deck);
  const nextPoint = {
    'crash-api': dealer<CrashPoint>(random, crashPoints.api),
    'crash-worker': dealer<CrashPoint>(random, crashPoints.worker),
  };
  const faults: Scheduled[] = [];
  for (let slotMs = SPACING_MS; slotMs <= seconds * 1000; slotMs += SPACING_MS) {
    const atMs = Math.round(slotMs - random.between(0, JITTER_MS));
    faults.push({ atMs, ...drawFault(random, nextKind(), nextPoint) });
  }
  return faults;
}

function drawFault(
  random: Random,
  kind: FaultKind,
  nextPoint: Record<'crash-api' | 'crash-worker', () => CrashPoint>,
): Fault {
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
      return { kind, target: api(), point: nextPoint[kind](), pass: random.integer(1, 20) };
    case 'crash-worker':
      return { kind, target: worker(), point: nextPoint[kind](), pass: random.integer(1, 5) };
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

function dealer<T>(random: Random, cards: readonly T[]): () => T {
  let hand: T[] = [];
  return () => {
    if (hand.length === 0) hand = random.shuffled(cards);
    return hand.pop() as T;
  };
}

/** One fault in a few words; not when. */
export function describeFault({ kind, ...details }: Fault): string {
  const words = Object.entries(details).flatMap(([name, value]) => {
    if (name === 'atMs' || name === 'happenedAt') return [];
    if (name === 'target') return `#${value}`;
    return `${name} ${typeof value === 'number' ? Math.round(value * 100) / 100 : value}`;
  });
  return [kind, ...words].join(' ');
}
