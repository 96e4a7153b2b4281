/*
 * npm run bench: asks all contestants the same questions on one machine, in turns, and prints what they
 * answered beside the goals, with a receipt. Exit code 0 when it could measure everything, whatever it
 * measured; 1 when it could not; 2 when it was called wrongly.
 */
import { closeSync, openSync, writeFileSync } from 'node:fs';
import { explain } from '../src/process.ts';
import { openMachine, type Machine } from './machine.ts';
import { parseOptions, type Options } from './options.ts';
import { readReceipt } from './receipt.ts';
import { report, type Run } from './report.ts';
import { Results } from './results.ts';
import { scenarios } from './scenarios/index.ts';
import { smoke } from './smoke.ts';

const ROUNDS = 5;
const QUICK_ROUNDS = 1;
const EXIT_NOT_RUN = 1;
const EXIT_USAGE = 2;
const EXIT_INTERRUPTED = 130;

const startedAt = performance.now();

/** Progress; the figures alone go to stdout. */
function say(line: string): void {
  const seconds = ((performance.now() - startedAt) / 1000).toFixed(0);
  process.stderr.write(`${seconds.padStart(5)} s  ${line}\n`);
}

async function measure(machine: Machine, { quick, only }: Options): Promise<Run> {
  const results = new Results();
  const rounds = quick ? QUICK_ROUNDS : ROUNDS;
  const began = new Date().toISOString();
  for (const { name, run } of scenarios) {
    if (only !== undefined && only !== name) continue;
    const sayOfIt = (line: string) => say(`${name}: ${line}`);
    try {
      await run({ machine, results, quick, rounds, say: sayOfIt });
    } catch (error) {
      if (isStopping) throw error;
      sayOfIt(`FAILED: ${explain(error)}`); // what the others measured is not lost for it
      process.exitCode = EXIT_NOT_RUN;
    }
  }
  const seconds = (performance.now() - startedAt) / 1000;
  const receipt = await readReceipt(machine, { began, seconds, rounds, quick });
  return { receipt, figures: results.figures };
}

function options(): Options {
  try {
    const parsed = parseOptions(
      process.argv.slice(2),
      scenarios.map(({ name }) => name),
    );
    if (parsed.json) closeSync(openSync(parsed.json, 'a')); // rather than fail after half an hour
    return parsed;
  } catch (error) {
    process.stderr.write(`${explain(error)}\n`);
    process.exit(EXIT_USAGE);
  }
}

let isStopping = false;

/** Stops everything that was started, however far that has come. */
function closeOnSignal(opening: Promise<Machine>): void {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.once(signal, () => {
      isStopping = true;
      say('stopping');
      void opening.then((machine) => machine.close()).finally(() => process.exit(EXIT_INTERRUPTED));
    });
  }
}

const chosen = options();
const opening = openMachine();
closeOnSignal(opening);
try {
  const machine = await opening;
  try {
    if (chosen.smoke) await smoke(machine, say);
    else {
      const run = await measure(machine, chosen);
      process.stdout.write(report(run));
      if (chosen.json) writeFileSync(chosen.json, `${JSON.stringify(run, null, 2)}\n`);
    }
  } finally {
    await machine.close();
  }
} catch (error) {
  if (!isStopping) process.stderr.write(`${explain(error)}\n`); // else it fails because we stop
  process.exitCode = EXIT_NOT_RUN;
}
