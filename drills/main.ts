/*
 * npm run drill -- NAME: does to a running service what operators do or meet, with real programs, and prints figures.
 * Exit code 0: everything was as promised; 1: something was not; 2: the drill did not get to its end. Drill `compose`
 * also ends with 2 when a container does not come back in time, or when the audit finds something.
 */
import { exitOnFailure, interruptSignal, ReadableError } from '../src/process.ts';
import type { Drill } from './drill.ts';
import { compose } from './compose/compose.ts';
import { pgbouncer } from './pgbouncer/walk.ts';
import { rolling } from './rolling/rolling.ts';

const EXIT_BROKEN_PROMISE = 1;
const EXIT_NOT_RUN = 2;

/** Every drill, by its name on the command line. */
const drills: Record<string, Drill> = { compose, pgbouncer, rolling };

function usage(): string {
  const lines = Object.entries(drills).map(([name, { what }]) => `  ${name.padEnd(12)}${what}`);
  return ['Usage: npm run drill -- NAME', ...lines].join('\n');
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

await exitOnFailure(async () => {
  const [name = '', ...rest] = process.argv.slice(2);
  const drill = Object.hasOwn(drills, name) ? drills[name] : undefined;
  if (!drill || rest.length > 0) throw new ReadableError(usage());
  const interrupted = interruptSignal();
  const isKept = await drill.run(say, interrupted).catch((error: unknown) => {
    throw interrupted.aborted ? interrupted.reason : error;
  });
  say(isKept ? 'KEPT' : 'BROKEN');
  process.exit(isKept ? 0 : EXIT_BROKEN_PROMISE);
}, EXIT_NOT_RUN);
