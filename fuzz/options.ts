import { z } from 'zod';
import { parseCommandLine, Seed } from '../chaos/command-line.ts';

const schema = z.object({
  seed: Seed,
  requests: z.coerce.number().int().min(0).max(10_000_000).default(20_000),
  streams: z.coerce.number().int().min(0).max(10_000_000).default(2000),
});

const text = { type: 'string' } as const;

const commandLine = {
  schema,
  flags: { seed: text, requests: text, streams: text },
  usage: 'npm run fuzz -- [--seed N] [--requests N] [--streams N]',
};

/** Parses the options of a fuzz: the seed, and the numbers of requests and of byte streams. */
export function parseOptions(args: string[], randomSeed?: number) {
  return parseCommandLine(args, commandLine, randomSeed);
}
