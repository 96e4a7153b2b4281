import { ConfigError } from './config/load.ts';
import { sqlStateOf } from './db/errors.ts';
import { causeOf, innermostMessage } from './error-cause.ts';

/** EX_CONFIG of sysexits.h: the settings are wrong, so a restart does not help. */
const EXIT_CONFIG = 78;
const EXIT_FAILURE = 1;

/**
 * Runs a command. When it throws, writes the error to stderr and exits with `exitCode`; by default with 78 for wrong
 * settings, and with 1 for any other error. For an error that no code catches, it also writes the stack.
 */
export async function exitOnFailure(main: () => Promise<void>, exitCode?: number): Promise<void> {
  process.on('uncaughtException', (error) => exitWithStack(error, exitCode ?? EXIT_FAILURE));
  try {
    await main();
  } catch (error) {
    exit(error, exitCode ?? (error instanceof ConfigError ? EXIT_CONFIG : EXIT_FAILURE));
  }
}

function exit(error: unknown, code: number): never {
  process.stderr.write(`${explain(error)}\n`);
  process.exit(code);
}

/** Writes the stack of an error, then the error. Node would print all members, such as the values of a statement. */
function exitWithStack(error: unknown, code: number): never {
  if (error instanceof Error) process.stderr.write(`${error.stack}\n`);
  exit(error, code);
}

/**
 * Calls `stop` once, and then exits: on SIGTERM, on Ctrl-C, when the terminal is closed, or when the parent process
 * ends. A stop that has not ended 2 s after the timeout is cut short with exit code 1.
 */
export function stopOnSignal(stop: () => Promise<void>, timeoutSeconds: number): void {
  let stopping = false;
  const begin = () => {
    if (stopping) return;
    stopping = true;
    setTimeout(() => process.exit(EXIT_FAILURE), timeoutSeconds * 1000 + 2000).unref();
    void stop().then(
      () => process.exit(0),
      (error: unknown) => exit(error, EXIT_FAILURE),
    );
  };
  process.on('SIGTERM', begin);
  process.on('SIGINT', begin);
  process.on('SIGHUP', begin);
  process.on('disconnect', begin);
}

/** A signal that is aborted when the user stops a command: by Ctrl-C, SIGTERM, or closing the terminal. */
export function interruptSignal(): AbortSignal {
  const interrupt = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, () => interrupt.abort(new ReadableError(`Interrupted by ${signal}`)));
  }
  return interrupt.signal;
}

/** Reports to the process keeper, if there is one, that this process is ready for work. */
export function reportReady(): void {
  process.send?.('ready');
}

/** An error whose message is for people. It is shown unchanged, without stack and cause. */
export class ReadableError extends Error {
  override name = 'ReadableError';
}

/** Describes an error by one line that an operator can act on. */
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
  '53300': 'All connections of the database are in use',
  '42501': 'The user of DATABASE_URL lacks a privilege',
  ECONNREFUSED: 'Nothing answers at the address of DATABASE_URL',
  ENOTFOUND: 'The host of DATABASE_URL is unknown',
  EAI_AGAIN: 'The host of DATABASE_URL cannot be looked up',
  EADDRINUSE: 'The port is taken; set PORT or METRICS_PORT to a free one',
  EACCES: 'Permission denied',
};

function codeOf(error: unknown): string | undefined {
  for (let e = error; e instanceof Error; e = causeOf(e)) {
    const { code } = e as { code?: unknown };
    if (typeof code === 'string' && code in hints) return code;
  }
  return undefined;
}
