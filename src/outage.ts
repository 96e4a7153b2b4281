import type { Logger } from 'pino';
import { innermostMessage } from './error-cause.ts';
import { printable } from './printable.ts';

const REASON_LENGTH_MAX = 300;

/** An outage ends only after this time without a failure. So a server that comes and goes does not fill the log. */
const QUIET_MS = 2_000;

type Words = {
  /** The line when it goes away. */
  away: string;
  /** The line when it is back. */
  back: string;
};

/**
 * An outage of a server that this process needs. However many operations fail meanwhile, the log gets one line when it
 * begins and one when it has ended, with its length and the number of failures.
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

  /** An operation has failed because the server is away. */
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

  /** An operation that began at this time has succeeded. The outage has ended if none has failed shortly before. */
  succeeded(startedAt: number): void {
    if (this.#since === null || this.#failedAt + QUIET_MS > startedAt) return;
    const seconds = Math.round((this.#failedAt - this.#since) / 100) / 10;
    this.#since = null;
    this.#log.info({ away_seconds: seconds, failures: this.#failures }, this.#words.back);
  }
}
