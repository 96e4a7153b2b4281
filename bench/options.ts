import { parseArgs } from 'node:util';
import { ReadableError } from '../src/process.ts';

/** What to run, and where to put the figures. */
export type Options = {
  quick: boolean;
  /** Asserts that every contestant works, and measures nothing. */
  smoke: boolean;
  json?: string;
  only?: string;
};

const flags = {
  quick: { type: 'boolean', default: false },
  smoke: { type: 'boolean', default: false },
  json: { type: 'string' },
  only: { type: 'string' },
} as const;

export const USAGE = 'npm run bench -- [--quick] [--only SCENARIO] [--json FILE] [--smoke]';

/** Reads the command line. Throws one line when it is wrong. */
export function parseOptions(args: string[], scenarios: string[]): Options {
  const { only, json, ...rest } = parse(args);
  if (rest.smoke && args.length > 1) {
    throw new ReadableError(`--smoke measures nothing, and goes with no other. Usage: ${USAGE}`);
  }
  if (only !== undefined && !scenarios.includes(only)) {
    throw new ReadableError(`--only takes one of ${scenarios.join(', ')}. Usage: ${USAGE}`);
  }
  return { ...rest, ...(json !== undefined && { json }), ...(only !== undefined && { only }) };
}

function parse(args: string[]) {
  try {
    return parseArgs({ args, options: flags }).values;
  } catch (cause) {
    const message = (cause as Error).message.split('. ')[0]?.replaceAll('\n', ' ');
    throw new ReadableError(`${message}. Usage: ${USAGE}`, { cause });
  }
}
