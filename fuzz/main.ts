/*
 * npm run fuzz -- --requests N --streams N --seed N: starts the service, and sends requests that are generated from its
 * OpenAPI document, and then raw byte streams, most of which are no valid HTTP. Every reply to a request must be as the
 * document says, and come within a second. No reply to a stream may be an unexpected 5xx. The memory of the API may not
 * grow, every accepted order must be stored and end, and the audit must find nothing. Exit code 0: all of this holds;
 * 1: something does not; 2: the run failed.
 */
import { readFileSync } from 'node:fs';
import { sql } from 'slonik';
import { z } from 'zod';
import { openAsSuperuser, readViolations, untilAllEnded } from '../chaos/final-state.ts';
import { openMachine, type Machine } from '../chaos/machine.ts';
import { exitOnFailure, interruptSignal, ReadableError } from '../src/process.ts';
import { registerAndLogIn } from '../test/support/accounts.ts';
import { isFlat } from './memory.ts';
import { parseOptions } from './options.ts';
import { fuzz, type Options, type Outcome } from './run.ts';

const SLOWEST_MS_MAX = 1000;
const END_TIMEOUT_MS = 120_000;
const SHOWN_MAX = 20;
/** How many times the memory is read during a run. */
const SAMPLES = 40;
const EXIT_BROKEN = 1;
const EXIT_NOT_RUN = 2;

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

/** The resident memory of a process, in megabytes. */
function memoryOf(pid: number | undefined): number {
  const kilobytes = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
  return Math.round(Number(kilobytes) / 1024);
}

/** Accepted orders that are not stored or have not ended, and what the audit finds. */
async function brokenOrders({ postgres }: Machine, accepted: Set<string>): Promise<string[]> {
  const pool = await openAsSuperuser(postgres.url);
  try {
    await untilAllEnded(pool, END_TIMEOUT_MS);
    const ended = await pool.anyFirst(sql.type(z.object({ id: z.guid() }))`
      SELECT id FROM orders WHERE status IN ('COMPLETED', 'CANCELLED', 'FAILED')
    `);
    const missing = accepted.difference(new Set(ended));
    const violations = await readViolations(pool);
    return [
      ...[...missing].map((id) => `order ${id} is lost or still open`),
      ...violations.map((violation) => `audit: ${JSON.stringify(violation)}`),
    ];
  } finally {
    await pool.end();
  }
}

function report(outcome: Outcome, memory: number[], problems: string[]): void {
  say(`replies by status: ${JSON.stringify(outcome.statuses)}`);
  say(`accepted orders: ${outcome.accepted.size}`);
  const { requests, streams } = outcome.slowest;
  for (const { ms, item } of [...requests, ...streams]) say(`slowest: ${ms} ms, ${item}`);
  say(`memory of the API in MB, from time to time: ${memory.join(' ')}`);
  for (const { item, what, sent } of outcome.findings.slice(0, SHOWN_MAX))
    say(`${item}: ${what}\n  ${sent}`);
  for (const problem of problems.slice(0, SHOWN_MAX)) say(problem);
}

async function run(options: Options, stop: AbortSignal): Promise<boolean> {
  const machine = await openMachine(['worker'], undefined);
  try {
    const [api] = machine.apis;
    if (!api) throw new ReadableError('no API was started');
    const newToken = async () =>
      (await registerAndLogIn(api)).authorization.replace(/^Bearer /, '');
    const memory: number[] = [];
    const items = options.requests + options.streams;
    const every = Math.max(Math.floor(items / SAMPLES), 1);
    const outcome = await fuzz({ origin: api.origin, newToken }, options, (done) => {
      stop.throwIfAborted();
      if (done % every !== 0) return;
      memory.push(memoryOf(api.pids.at(-1)));
      if (memory.length % (SAMPLES / 10) === 0) say(`${done} of ${items}`);
    });
    const problems = [
      ...machine.unexpectedEnds,
      ...(await brokenOrders(machine, outcome.accepted)),
    ];
    // A stream can wait for a time limit.
    const tooSlow = outcome.slowest.requests.filter(({ ms }) => ms > SLOWEST_MS_MAX);
    problems.push(...tooSlow.map(({ ms, item }) => `${item} took ${ms} ms`));
    if (!isFlat(memory)) problems.push('the memory of the API grows');
    report(outcome, memory, problems);
    return problems.length === 0 && outcome.findings.length === 0;
  } finally {
    await machine.close();
  }
}

await exitOnFailure(async () => {
  const interrupted = interruptSignal();
  const options = parseOptions(process.argv.slice(2));
  const { seed, requests, streams } = options;
  const command = `npm run fuzz -- --requests ${requests} --streams ${streams} --seed ${seed}`;
  say(command);
  const holds = await run(options, interrupted);
  say(holds ? 'CLEAN' : `BROKEN. To repeat this run: ${command}`);
  process.exit(holds ? 0 : EXIT_BROKEN);
}, EXIT_NOT_RUN);
