import { causeOf } from './error-cause.ts';
import { escapeUnprintable } from './printable.ts';

const LENGTH_MAX = 8000;
const CAUSES_MAX = 5;

/**
 * Returns what the log keeps of an error: its kind, message, stack, code and constraint, and those of its causes. The
 * log keeps no other member, because libraries add secrets to errors: ioredis adds the password that Redis refused,
 * slonik and pg add the values of a statement, and Node adds a URL that it cannot parse.
 */
export function loggedError(error: unknown, causes = 0): unknown {
  if (!(error instanceof Error)) return escaped(String(error));
  const { code, constraint } = error as { code?: unknown; constraint?: unknown };
  const cause = causeOf(error);
  return {
    type: error.name === 'Error' ? error.constructor.name : error.name,
    message: escaped(error.message),
    stack: escaped(error.stack ?? ''),
    ...(typeof code === 'string' && { code }),
    ...(typeof constraint === 'string' && { constraint }),
    ...(cause !== undefined && causes < CAUSES_MAX && { cause: loggedError(cause, causes + 1) }),
  };
}

/** Escapes unprintable characters, except the line breaks of a stack. */
function escaped(text: string): string {
  return text.slice(0, LENGTH_MAX).split('\n').map(escapeUnprintable).join('\n');
}
