import type { Logger } from 'pino';
import { innermostMessage } from './error-cause.ts';
import { printable } from './printable.ts';

const REASON_LENGTH_MAX = 300;

/** An outage ends only after this time without a failure. So short interruptions in a row do not fill the log. */
const QUIET_MS = 2_000;

type Words = {
  /** The message in the log when the server goes away. */
  away: string;
  /** The message in the log when the server is back. */
  back: string;
};

/**
 * Records outages of a server that this process needs. However many operations fail during an outage, the log gets one
 * line when the outage begins, and one when it has ended, with its length and the number of failures.
 */
export class Outage {
  readonly #log: Logger;
  readonly #words: Words;
  #since: number | null = null;
  #failedAt = 0;
  #failures = 0;

  constructor(log: Logger, words: Words) {
    this.#log = log;
    this.#words = words;
  }

  /** Records that an operation has failed because the server is away. */
  failed(reason: unknown): void {
    this.#failedAt = performance.now();
    this.#failures += 1;
    if (this.#since !== null) return;
    this.#since = this.#failedAt;
    this.#failures = 1;
    this.#log.error(
      { reason: printable(innermostMessage(reason), REASON_LENGTH_MAX) },
      this.#words.away,
    );
  }

  /** Records that an operation has succeeded. Ends the outage if the operation began 2 s or more after a failure. */
  succeeded(startedAt: number): void {
    if (this.#since === null || this.#failedAt + QUIET_MS > startedAt) return;
    const seconds = Math.round((this.#failedAt - this.#since) / 100) / 10;
    this.#since = null;
    this.#log.info({ away_seconds: seconds, failures: this.#failures }, this.#words.back);
  }
}
