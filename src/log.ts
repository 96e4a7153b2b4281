import { pino, type Logger, type LoggerOptions } from 'pino';
import type { Config } from './config.ts';
import { isOutage } from './db/errors.ts';
import { loggedError } from './logged-error.ts';
import { Outage } from './outage.ts';

/** pino's number of the level `warn`. */
const WARN = 40;

/**
 * Creates the log of a process: JSON lines on stdout. Writing never fails. Without a reader, lines are dropped.
 *
 * Also creates the record of outages of the database. During an outage, thousands of operations can fail. So a warning
 * or an error whose `err` means an outage is counted in this record, and logged at level debug.
 */
export function createLog(
  { LOG_LEVEL }: Pick<Config, 'LOG_LEVEL'>,
  name: string,
): { log: Logger; outage: Outage } {
  const options: LoggerOptions = {
    name,
    level: LOG_LEVEL,
    hooks: {
      logMethod(args, method, level) {
        const err = level < WARN ? undefined : (args[0] as { err?: unknown } | undefined)?.err;
        if (!isOutage(err)) return method.apply(this, args);
        outage.failed(err);
        this.debug({ ...Object(args[0]), err: undefined, reason: err.message }, args[1]);
      },
    },
    serializers: { err: (error: unknown) => loggedError(error) },
    // Only a safeguard: no code passes any of these to the log on purpose.
    redact: ['password', '*.password', 'refresh_token', '*.refresh_token', '*.authorization'],
  };
  // pino's default destination writes in the background and flushes at exit. When the reader of the log is gone
  // (EPIPE), that flush repeats forever, and the process never ends (sonic-boom 4.2).
  const log = pino(options, pino.destination({ fd: process.stdout.fd, sync: true }));
  const outage = new Outage(log, { away: 'database is away', back: 'database is back' });
  return { log, outage };
}
