import { z } from 'zod';
import { parseCommandLine, Seed } from './command-line.ts';

const schema = z.object({
  seed: Seed,
  seconds: z.coerce.number().int().min(5).max(86_400).default(120),
  json: z.string().min(1).optional(),
  logs: z.string().min(1).optional(),
  'without-audit': z.boolean().default(false),
});
export type Options = z.output<typeof schema>;

const text = { type: 'string' } as const;

const commandLine = {
  schema,
  flags: {
    seed: text,
    seconds: text,
    json: text,
    logs: text,
    'without-audit': { type: 'boolean' },
  } as const,
  usage:
    'npm run chaos -- [--seed N] [--seconds S] [--json FILE] [--logs FOLDER] [--without-audit]',
};

/** Parses the options of a chaos run. */
export function parseOptions(args: string[], randomSeed?: number): Options {
  return parseCommandLine(args, commandLine, randomSeed);
}
