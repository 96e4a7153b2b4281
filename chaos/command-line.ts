import { parseArgs, type ParseArgsOptionsConfig } from 'node:util';
import { z } from 'zod';
import { ReadableError } from '../src/process.ts';

const SEED_MAX = 2 ** 32 - 1;

/** The option --seed. */
export const Seed = z.coerce.number().int().min(0).max(SEED_MAX);

/** What the options of a command may be: as node:util reads them, then as zod checks them. */
type CommandLine<Schema extends z.ZodType> = {
  flags: ParseArgsOptionsConfig;
  schema: Schema;
  usage: string;
};

/**
 * Parses the command line of a run that can be repeated by its seed. Without --seed it chooses a random seed. Throws an
 * error of one line for wrong options.
 */
export function parseCommandLine<Schema extends z.ZodType>(
  args: string[],
  { flags, schema, usage }: CommandLine<Schema>,
  randomSeed = Math.floor(Math.random() * SEED_MAX),
): z.output<Schema> {
  try {
    const { values } = parseArgs({ args, options: flags });
    return schema.parse({ seed: randomSeed, ...values });
  } catch (cause) {
    const mistakes =
      cause instanceof z.ZodError
        ? cause.issues.map(({ path, message }) => `--${path.join('.')}: ${message}`).join('; ')
        : (cause as Error).message.replaceAll('\n', ' ');
    throw new ReadableError(`${mistakes}. Usage: ${usage}`, { cause });
  }
}
