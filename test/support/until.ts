/*
 * Waiting for events that a test cannot await: those in another process, or at the other end of a socket.
 */

const POLL_MS = 10;

/**
 * Polls until `look` returns a value. The timeout is long, because a test checks whether the event happens, not how
 * fast the machine is.
 */
export async function until<T>(
  what: string,
  look: () => T | Promise<T>,
  timeoutMs = 60_000,
): Promise<Exclude<T, false | 0 | '' | null | undefined>> {
  const deadline = Date.now() + timeoutMs;
  for (;;) {
    const seen = await look();
    if (seen) return seen as Exclude<T, false | 0 | '' | null | undefined>;
    if (Date.now() > deadline) throw new Error(`gave up after waiting ${timeoutMs} ms for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}
