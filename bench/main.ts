/*
 * npm run bench [-- OPTIONS], npm run bench COMMAND [ARGUMENTS]: without a command it measures the service and its
 * peers (full-run.ts). The other commands measure one thing each, or publish a run.
 */
import { exitOnFailure, ReadableError } from '../src/process.ts';
import { measurePauses } from './after-a-pause.ts';
import { runBench } from './full-run.ts';
import { measureIdle } from './idle.ts';
import { measureScale } from './ops-at-scale.ts';
import { publish } from './publish.ts';
import { measureTrailCost } from './trail-cost.ts';

type Command = (args: string[]) => Promise<void>;

const commands = new Map<string, Command>([
  ['report', publish],
  ['idle', measureIdle],
  ['pause', measurePauses],
  ['scale', measureScale],
  ['trail', measureTrailCost],
]);

function commandIn([name = '', ...args]: string[]): Promise<void> {
  if (name === '' || name.startsWith('-')) return runBench(name === '' ? [] : [name, ...args]);
  const command = commands.get(name);
  if (command) return command(args);
  const known = [...commands.keys()].join(', ');
  throw new ReadableError(
    `"${name}" is not a command of the bench. Commands: ${known}; without one it measures everything`,
  );
}

await exitOnFailure(async () => commandIn(process.argv.slice(2)));
