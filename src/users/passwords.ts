import { randomBytes } from 'node:crypto';
import { hash, verify } from '@node-rs/argon2';
import pLimit from 'p-limit';
import { Problem } from '../http/problem.ts';

// OWASP Password Storage Cheat Sheet: argon2id, m = 19 MiB, t = 2, p = 1. argon2id is the default.
const ARGON2 = { memoryCost: 19_456, timeCost: 2, parallelism: 1 };
const CONCURRENCY_MAX = 4; // each takes 19 MiB, and a thread of libuv's four
const WAITING_MAX = 100; // past this, a login would wait for seconds

export type Passwords = ReturnType<typeof createPasswords>;

/** Hashes and checks passwords off the event loop, a few at a time. Throws `overloaded` past a bound. */
export function createPasswords() {
  const limit = pLimit(CONCURRENCY_MAX);
  const decoy = hash(randomBytes(16), ARGON2);

  async function bounded<T>(work: () => Promise<T>): Promise<T> {
    if (limit.pendingCount >= WAITING_MAX) throw new Problem('overloaded');
    return limit(work);
  }

  return {
    hash: (password: string): Promise<string> => bounded(() => hash(password, ARGON2)),

    /** Takes the same time whether or not there is a hash to check against. */
    async verify(stored: string | undefined, password: string): Promise<boolean> {
      const matches = await bounded(async () => verify(stored ?? (await decoy), password));
      return matches && stored !== undefined;
    },
  };
}
