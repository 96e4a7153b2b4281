import { pino, type Logger } from 'pino';
import type { Config } from './config.ts';

/** Creates the log of a process: JSON lines on stdout. Writing never fails. Without a reader, lines are dropped. */
export function createLogger({ LOG_LEVEL }: Pick<Config, 'LOG_LEVEL'>, name: string): Logger {
  const options = {
    name,
    level: LOG_LEVEL,
    // Only a safeguard: no code passes any of these to the log on purpose.
    redact: ['password', '*.password', 'refresh_token', '*.refresh_token', '*.authorization'],
  };
  // pino's default destination writes in the background and flushes at exit. When the reader of the log is gone
  // (EPIPE), that flush repeats forever, and the process never ends (sonic-boom 4.2).
  return pino(options, pino.destination({ fd: process.stdout.fd, sync: true }));
}
