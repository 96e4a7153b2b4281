/** Returns the message of the last error in a chain of causes, because it says what happened. */
export function innermostMessage(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const cause = causeOf(error);
  return cause instanceof Error ? innermostMessage(cause) : error.message || error.name;
}

/** Node throws an AggregateError when a connection fails over IPv6 and IPv4. Its first error counts as the cause. */
export function causeOf(error: Error): unknown {
  return error instanceof AggregateError ? error.errors[0] : error.cause;
}
