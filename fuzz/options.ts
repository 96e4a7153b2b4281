import { parseArgs } from 'node:util';
import { z } from 'zod';
import { ReadableError } from '../src/process.ts';

const SEED_MAX = 2 ** 32 - 1;

const Options = z.object({
  seed: z.coerce.number().int().min(0).max(SEED_MAX),
  requests: z.coerce.number().int().min(0).max(10_000_000).default(20_000),
  streams: z.coerce.number().int().min(0).max(10_000_000).default(2000),
});

const text = { type: 'string' } as const;
const flags = { seed: text, requests: text, streams: text } as const;

const USAGE = 'npm run fuzz -- [--seed N] [--requests N] [--streams N]';

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
