/*
 * npm run chaos -- --seed N --seconds S: starts the service, lets customers place orders, and injects the faults of the
 * seed. Then it checks every order, runs the audit, and prints the verdict (verdict.ts). Exit code 0: the run is clean;
 * 1: it is not, for example because an order is lost or a fault did not happen; 2: the run failed.
 */
import { writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { setTimeout } from 'node:timers/promises';
import { exitOnFailure, interruptSignal } from '../src/process.ts';
import { openClients, type Clients } from './clients.ts';
import { inject } from './faults.ts';
import {
  openAsSuperuser,
  readBatches,
  readOrders,
  readTrail,
  readViolations,
  untilAllEnded,
} from './final-state.ts';
import { openMachine, type Machine } from './machine.ts';
import { parseOptions, type Options } from './options.ts';
import { report } from './report.ts';
import { describeFault, schedule, workerKinds } from './schedule.ts';
import { judge, type RunFacts, type Verdict } from './verdict.ts';

const CALM_MS = 3000; // after the last fault: some orders are placed without faults
const REPLY_TIMEOUT_MS = 45_000; // after the last fault; generous, because an order without a reply fails the run
const END_TIMEOUT_MS = 90_000;
const EXIT_VIOLATIONS = 1;
const EXIT_NOT_RUN = 2;

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

/** Runs the whole schedule. Resolves some time after all faults are over and all processes are up again. */
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

/** Waits until every order has ended, and reads the final state. */
async function readRunFacts(
  { postgres, workers, fulfilment, unexpectedEnds }: Machine,
  withoutAudit: boolean,
): Promise<Omit<RunFacts, 'placed' | 'injected'> & { batches: string }> {
  const pool = await openAsSuperuser(postgres.url);
  try {
    await untilAllEnded(pool, END_TIMEOUT_MS);
    const stored = [...(await readOrders(pool))];
    const batches = await readBatches(pool);
    const violations = withoutAudit ? [] : [...(await readViolations(pool))];
    const fulfillers = new Set(
      workers.flatMap(({ kind, pids }) =>
        kind === 'fulfiller' ? pids.map((pid) => `worker:${hostname()}:${pid}`) : [],
      ),
    );
    const accepted = new Set(fulfilment.accepted.keys());
    const unexpected = [...unexpectedEnds, ...fulfilment.unexpected];
    return { stored, batches, violations, unexpected, fulfillers, accepted };
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
    const placed = await clients.stop(REPLY_TIMEOUT_MS);
    say('Waiting until every order has ended …');
    const found = await readRunFacts(machine, options['without-audit']);
    const unexpected = [...clients.unexpected, ...found.unexpected];
    const verdict = judge({ ...found, placed, injected, unexpected });
    const { requests, unknown, failed, replayed } = clients.counts;
    const trail = await readTrail(machine.postgres.url, verdict.longestOpenOrder);
    say(
      report(verdict, {
        'audit violations': options['without-audit'] ? 'NOT AUDITED' : verdict.violations.length,
        requests: `${requests}, outcome unknown and sent again ${unknown}, replayed ${replayed}`,
        'replies with 500': failed,
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

await exitOnFailure(async () => {
  const interrupted = interruptSignal();
  const options = parseOptions(process.argv.slice(2));
  const verdict = await run(options, interrupted).catch((error: unknown) => {
    throw interrupted.aborted ? interrupted.reason : error;
  });
  if (options.json) writeFileSync(options.json, `${JSON.stringify({ options, ...verdict })}\n`);
  say(verdict.clean ? 'CLEAN' : `VIOLATED. To repeat this run: ${commandLine(options)}`);
  process.exit(verdict.clean ? 0 : EXIT_VIOLATIONS);
}, EXIT_NOT_RUN);
