import { parseArgs } from 'node:util';
import { ReadableError } from '../process.ts';

export const HELP = `Checks every invariant of the orders in a database. docs/audit.md explains them.

  npm run audit                          all orders
  npm run audit -- --since 24h           orders with an event or a job since then (30m, 24h, 7d or a date)
  npm run audit -- --json                the result as one JSON object
  npm run audit -- --evidence FILE       all orders; writes a signed file with the result
  npm run audit -- --verify FILE         checks such a file, without a database
  npm run audit -- --key FILE            the public key to check signatures with (default: AUDIT_SIGNING_KEY_FILE)

Exit code: 0 no violation, 1 violations (listed) or evidence that does not verify, 2 could not run.
`;

export type Options = {
  help: boolean;
  json: boolean;
  since?: Date;
  evidence?: string;
  verify?: string;
  key?: string;
};

const UNITS_MS: Record<string, number> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** Reads the command line. Throws a ReadableError when it does not understand an argument. */
export function parseOptions(args: string[], now = Date.now()): Options {
  const { since, ...values } = parse(args);
  if (values.verify !== undefined && (since ?? values.evidence) !== undefined) {
    throw new ReadableError('--verify can be combined with --key and --json only');
  }
  if (values.evidence !== undefined && since !== undefined) {
    throw new ReadableError('--evidence covers all orders, so it cannot be combined with --since');
  }
  return { ...values, ...(since !== undefined && { since: parseSince(since, now) }) };
}

function parse(args: string[]) {
  try {
    return parseArgs({
      args,
      options: {
        help: { type: 'boolean', default: false },
        json: { type: 'boolean', default: false },
        since: { type: 'string' },
        evidence: { type: 'string' },
        verify: { type: 'string' },
        key: { type: 'string' },
      },
    }).values;
  } catch (error) {
    const [line = ''] = (error as Error).message.split(/\.\s|\n/);
    throw new ReadableError(`${line}; see npm run audit -- --help`);
  }
}

function parseSince(text: string, now: number): Date {
  const [, count, unit = ''] = /^(\d{1,9})([smhd])$/.exec(text) ?? [];
  const isDate = /^\d{4}-\d{2}-\d{2}/.test(text);
  const since = count
    ? now - Number(count) * (UNITS_MS[unit] ?? 0)
    : isDate
      ? Date.parse(text)
      : NaN;
  if (Number.isNaN(since)) {
    throw new ReadableError(`--since takes a duration such as 24h or a date, not ${text}`);
  }
  return new Date(since);
}
