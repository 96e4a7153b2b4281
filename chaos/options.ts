import { parseArgs } from 'node:util';
import { z } from 'zod';
import { ReadableError } from '../src/process.ts';

const SEED_MAX = 2 ** 32 - 1;

const Options = z.object({
  seed: z.coerce.number().int().min(0).max(SEED_MAX),
  seconds: z.coerce.number().int().min(5).max(86_400).default(120),
  json: z.string().min(1).optional(),
  logs: z.string().min(1).optional(),
  'without-audit': z.boolean().default(false),
});
export type Options = z.output<typeof Options>;

const text = { type: 'string' } as const;
const flags = {
  seed: text,
  seconds: text,
  json: text,
  logs: text,
  'without-audit': { type: 'boolean' },
} as const;

const USAGE =
  'npm run chaos -- [--seed N] [--seconds S] [--json FILE] [--logs FOLDER] [--without-audit]';

/** Parses the command line. Without --seed it chooses a random seed. Throws an error of one line for wrong options. */
export function parseOptions(args: string[], randomSeed = Math.floor(Math.random() * SEED_MAX)) {
  try {
    const { values } = parseArgs({ args, options: flags });
    return Options.parse({ seed: randomSeed, ...values });
  } catch (cause) {
    const mistakes =
      cause instanceof z.ZodError
        ? cause.issues.map(({ path, message }) => `--${path.join('.')}: ${message}`).join('; ')
        : (cause as Error).message.replaceAll('\n', ' ');
    throw new ReadableError(`${mistakes}. Usage: ${USAGE}`, { cause });
  }
}
