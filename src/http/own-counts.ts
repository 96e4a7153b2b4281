import { LRUCache } from 'lru-cache';

/**
 * A process counts at most this many keys for one limit, in about 4 MB. A further key replaces the one that was not
 * used for the longest time.
 */
const KEYS_MAX = 20_000;

type OwnCount = { used: number; endsAt: number };

/** The counts of a limit in this process, in windows of a fixed length. */
export class OwnCounts {
  readonly #windowMs: number;
  readonly #counts: LRUCache<string, OwnCount>;

  constructor(windowSeconds: number, keysMax = KEYS_MAX) {
    this.#windowMs = windowSeconds * 1000;
    this.#counts = new LRUCache({ max: keysMax });
  }

  /** How many keys are kept. */
  get size(): number {
    return this.#counts.size;
  }

  /** Counts one request. Returns how many the key has used, and when its window ends (on `performance.now`). */
  add(key: string): Readonly<OwnCount> {
    const now = performance.now();
    let count = this.#counts.get(key);
    if (!count || count.endsAt <= now) {
      count = { used: 0, endsAt: now + this.#windowMs };
      this.#counts.set(key, count);
    }
    count.used += 1;
    return count;
  }

  /** Takes over a count that is shared by all processes, when it is higher. */
  raise(key: string, used: number, endsAt: number): void {
    const count = this.#counts.get(key);
    if (!count || count.used >= used) return;
    count.used = used;
    count.endsAt = endsAt;
  }
}
