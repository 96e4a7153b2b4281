import { closeSync, openSync, writeFileSync } from 'node:fs';
import { explain } from '../src/process.ts';
import { withMachine, type Machine } from './machine.ts';
import { parseOptions, type Options } from './options.ts';
import { readReceipt } from './receipt.ts';
import { report, type Run } from './report.ts';
import { Results } from './results.ts';
import { scenarios } from './scenarios/index.ts';
import { smoke } from './smoke.ts';

const ROUNDS = 5;
const QUICK_ROUNDS = 1;

const startedAt = performance.now();

/** Shows progress on stderr. Only the figures go to stdout. */
function say(line: string): void {
  const seconds = ((performance.now() - startedAt) / 1000).toFixed(0);
  process.stderr.write(`${seconds.padStart(5)} s  ${line}\n`);
}

/**
 * npm run bench: measures all contestants on this machine, in turns. Prints the figures, the goals and a receipt. Exit
 * code 0 when every scenario could be measured, even if goals are missed; otherwise 1.
 */
export async function runBench(args: string[]): Promise<void> {
  const options = parseOptions(
    args,
    scenarios.map(({ name }) => name),
  );
  if (options.json) closeSync(openSync(options.json, 'a')); // fails now, not after half an hour
  await withMachine(async (machine, interrupted) => {
    if (options.smoke) return smoke(machine, say);
    const run = await measure(machine, options, interrupted);
    process.stdout.write(report(run));
    if (options.json) writeFileSync(options.json, `${JSON.stringify(run, null, 2)}\n`);
  });
}

/** Runs the scenarios. One that fails is reported, and the others still run. */
async function measure(
  machine: Machine,
  { quick, only }: Options,
  interrupted: AbortSignal,
): Promise<Run> {
  const results = new Results();
  const rounds = quick ? QUICK_ROUNDS : ROUNDS;
  const began = new Date().toISOString();
  for (const { name, run } of scenarios) {
    if (only !== undefined && only !== name) continue;
    const sayAboutIt = (line: string) => say(`${name}: ${line}`);
    try {
      await run({ machine, results, quick, rounds, say: sayAboutIt });
    } catch (error) {
      interrupted.throwIfAborted();
      sayAboutIt(`FAILED: ${explain(error)}`);
      process.exitCode = 1;
    }
  }
  const seconds = (performance.now() - startedAt) / 1000;
  const receipt = await readReceipt(machine, { began, seconds, rounds, quick });
  return { receipt, figures: results.figures };
}
