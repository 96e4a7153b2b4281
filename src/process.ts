import { ConfigError } from './config.ts';
import { sqlStateOf } from './db/errors.ts';

/** sysexits.h: the configuration is wrong, so starting again will not help. */
export const EXIT_CONFIG = 78;
const EXIT_FAILURE = 1;

/** Runs an entry point. An error becomes one readable line on stderr and an exit code: 78 for a wrong setting. */
export async function exitOnFailure(
  main: () => Promise<void>,
  failureCode = EXIT_FAILURE,
): Promise<void> {
  try {
    await main();
  } catch (error) {
    process.stderr.write(`${explain(error)}\n`);
    process.exit(error instanceof ConfigError ? EXIT_CONFIG : failureCode);
  }
}

/**
 * Calls `stop` once on SIGTERM or Ctrl-C, or when the terminal or the supervisor that this process was
 * started from is gone, and then exits. A stop that takes longer than the timeout is cut short with
 * exit code 1.
 */
export function stopOnSignal(stop: () => Promise<void>, timeoutSeconds: number): void {
  let stopping = false;
  const begin = () => {
    if (stopping) return;
    stopping = true;
    setTimeout(() => process.exit(EXIT_FAILURE), timeoutSeconds * 1000 + 2000).unref();
    void stop().then(
      () => process.exit(0),
      (error: unknown) => {
        process.stderr.write(`${explain(error)}\n`);
        process.exit(EXIT_FAILURE);
      },
    );
  };
  process.on('SIGTERM', begin);
  process.on('SIGINT', begin);
  process.on('SIGHUP', begin);
  process.on('disconnect', begin);
}

/** Tells a supervisor, if there is one, that this process is ready for work. */
export function reportReady(): void {
  process.send?.('ready');
}

/** An error whose message is shown as one line, without stack or cause. */
export class ReadableError extends Error {
  override name = 'ReadableError';
}

/** One line that a person can act on. */
export function explain(error: unknown): string {
  if (error instanceof ReadableError) return error.message;
  if (error instanceof ConfigError) return `Configuration: ${error.message.replaceAll('\n', '; ')}`;
  const hint = hints[sqlStateOf(error) ?? codeOf(error) ?? ''];
  const message = innermostMessage(error).replace(/\s+/g, ' ').trim();
  return hint ? `${hint} (${message})` : message;
}

const hints: Record<string, string> = {
  '28P01': 'The database refused user or password of DATABASE_URL',
  '28000': 'The database refused the user of DATABASE_URL',
  '3D000': 'The database named in DATABASE_URL does not exist',
  '53300': 'The database has no free connection',
  '42501': 'The user of DATABASE_URL lacks a privilege',
  ECONNREFUSED: 'Nothing answers at the address of DATABASE_URL',
  ENOTFOUND: 'The host of DATABASE_URL is not known',
  EAI_AGAIN: 'The host of DATABASE_URL cannot be looked up',
  EADDRINUSE: 'The port is taken; set PORT to a free one',
  EACCES: 'Permission denied',
};

function codeOf(error: unknown): string | undefined {
  for (let e = error; e instanceof Error; e = causeOf(e)) {
    const { code } = e as { code?: unknown };
    if (typeof code === 'string' && code in hints) return code;
  }
  return undefined;
}

function innermostMessage(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const cause = causeOf(error);
  return cause instanceof Error ? innermostMessage(cause) : error.message || error.name;
}

/** An AggregateError, as of a connection tried over IPv6 and IPv4, stands for its first error. */
function causeOf(error: Error): unknown {
  return error instanceof AggregateError ? error.errors[0] : error.cause;
}
