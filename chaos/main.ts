/*
 * npm run chaos -- --seed N --seconds S: starts the service, lets customers place orders, injects the faults of the
 * seed, and then looks for lost, doubled and stranded orders. Exit code 0 when there are none, 1 when there are some,
 * 2 when the run failed.
 */
import { writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { setTimeout } from 'node:timers/promises';
import { explain } from '../src/process.ts';
import { openClients, type Clients } from './clients.ts';
import {
  openEvidence,
  readBatches,
  readOrders,
  readTrail,
  readViolations,
  whenSettled,
} from './evidence.ts';
import { inject } from './faults.ts';
import { openMachine, type Machine } from './machine.ts';
import { parseOptions, type Options } from './options.ts';
import { report } from './report.ts';
import { describeFault, schedule, workerKinds } from './schedule.ts';
import { judge, type Findings, type Verdict } from './verdict.ts';

const CALM_MS = 3000; // after the last fault, so that some orders are placed after it
const ANSWER_TIMEOUT_MS = 45_000; // after the last fault; generous too
const SETTLE_TIMEOUT_MS = 90_000;
const EXIT_VIOLATIONS = 1;
const EXIT_NOT_RUN = 2;

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

/** Runs the whole schedule. Resolves when all faults have ended and all processes are up again. */
async function attack(machine: Machine, clients: Clients, options: Options, stop: AbortSignal) {
  const startedAt = Date.now();
  const injected = schedule(options.seed, options.seconds).map(async (fault) => {
    await setTimeout(fault.atMs, null, { signal: stop });
    say(`${(fault.atMs / 1000).toFixed(1).padStart(6)} s  ${describeFault(fault)}`);
    return inject(machine, clients, fault);
  });
  const faults = await Promise.all(injected);
  const leftMs = startedAt + options.seconds * 1000 - Date.now();
  await setTimeout(Math.max(leftMs, 1), null, { signal: stop });
  await Promise.all([...machine.apis, ...machine.workers].map(({ ready }) => ready()));
  await setTimeout(CALM_MS, null, { signal: stop });
  return faults;
}

async function examine(
  { postgres, workers, fulfilment, unexpectedEnds }: Machine,
  withoutAudit: boolean,
): Promise<Omit<Findings, 'placed' | 'injected'> & { batches: string }> {
  const pool = await openEvidence(postgres.url);
  try {
    await whenSettled(pool, SETTLE_TIMEOUT_MS);
    const stored = [...(await readOrders(pool))];
    const batches = await readBatches(pool);
    const violations = withoutAudit ? [] : [...(await readViolations(pool))];
    const fulfillers = new Set(
      workers.flatMap(({ kind, pids }) =>
        kind === 'fulfiller' ? pids.map((pid) => `worker:${hostname()}:${pid}`) : [],
      ),
    );
    const accepted = new Set(fulfilment.accepted.keys());
    const complaints = [...unexpectedEnds, ...fulfilment.complaints];
    return { stored, batches, violations, complaints, fulfillers, accepted };
  } finally {
    await pool.end();
  }
}

async function run(options: Options, stop: AbortSignal): Promise<Verdict> {
  const kinds = workerKinds(options.seed);
  say(`seed ${options.seed}, ${options.seconds} s, workers: ${kinds.join(', ')}`);
  const machine = await openMachine(kinds, options.logs);
  try {
    stop.throwIfAborted();
    const clients = await openClients(machine.apis.map(({ origin }) => origin));
    const injected = await attack(machine, clients, options, stop);
    const placed = await clients.stop(ANSWER_TIMEOUT_MS);
    say('Waiting for the last order …');
    const found = await examine(machine, options['without-audit']);
    const complaints = [...clients.complaints, ...found.complaints];
    const verdict = judge({ ...found, placed, injected, complaints });
    const { requests, unknown, failed, replayed } = clients.counts;
    const trail = await readTrail(machine.postgres.url, verdict.longestOpenOrder);
    say(
      report(verdict, {
        'audit violations': options['without-audit'] ? 'NOT ASKED' : verdict.violations.length,
        requests: `${requests}, outcome unknown and sent again ${unknown}, replayed ${replayed}`,
        'answered 500': failed,
        'orders in a transaction': found.batches,
        'trail of the longest open': trail,
        'external calls': `${machine.fulfilment.calls()}, orders accepted ${found.accepted.size}`,
      }),
    );
    return verdict;
  } finally {
    await machine.close();
  }
}

function commandLine({ seed, seconds, 'without-audit': withoutAudit }: Options): string {
  const rest = withoutAudit ? ' --without-audit' : '';
  return `npm run chaos -- --seed ${seed} --seconds ${seconds}${rest}`;
}

const interrupt = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(signal, () => interrupt.abort(new Error(`interrupted by ${signal}`)));
}
try {
  const options = parseOptions(process.argv.slice(2));
  const verdict = await run(options, interrupt.signal);
  if (options.json) writeFileSync(options.json, `${JSON.stringify({ options, ...verdict })}\n`);
  say(verdict.clean ? 'CLEAN' : `VIOLATED. To repeat this run: ${commandLine(options)}`);
  process.exit(verdict.clean ? 0 : EXIT_VIOLATIONS);
} catch (error) {
  const cause: unknown = interrupt.signal.aborted ? interrupt.signal.reason : error;
  process.stderr.write(`chaos could not run: ${explain(cause)}\n`);
  process.exit(EXIT_NOT_RUN);
}
