import { pino, type Logger } from 'pino';
import type { Config } from './config.ts';

/** The log of a process: JSON lines on stdout. Writing never fails: without a reader they are dropped. */
export function createLogger({ LOG_LEVEL }: Pick<Config, 'LOG_LEVEL'>, name: string): Logger {
  const options = {
    name,
    level: LOG_LEVEL,
    // Last line of defence: none of these is ever passed to the log on purpose.
    redact: ['password', '*.password', 'refresh_token', '*.refresh_token', '*.authorization'],
  };
  // Not pino's default, which writes in the background and flushes at exit: when the reader of the log
  // is gone (EPIPE), that flush tries again for ever, and the process never ends (sonic-boom 4.2).
  return pino(options, pino.destination({ fd: process.stdout.fd, sync: true }));
}
