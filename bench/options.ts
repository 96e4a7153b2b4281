import { parseArgs } from 'node:util';
import { ReadableError } from '../src/process.ts';

/** The options of the command line. */
export type Options = {
  quick: boolean;
  /** Checks that every contestant works, and measures nothing. */
  smoke: boolean;
  /** The file for the figures and the receipt. */
  json?: string;
  /** The name of the only scenario to run. */
  only?: string;
};

const flags = {
  quick: { type: 'boolean', default: false },
  smoke: { type: 'boolean', default: false },
  json: { type: 'string' },
  only: { type: 'string' },
} as const;

const USAGE = 'npm run bench -- [--quick] [--only SCENARIO] [--json FILE] [--smoke]';

/** Parses the command line. Throws an error of one line for wrong options. */
export function parseOptions(args: string[], scenarios: string[]): Options {
  const { only, json, ...rest } = parse(args);
  if (rest.smoke && args.length > 1) {
    throw new ReadableError(`--smoke cannot be combined with other options. Usage: ${USAGE}`);
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
