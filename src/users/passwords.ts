import { randomBytes } from 'node:crypto';
import { hash } from '@node-rs/argon2';
import pLimit from 'p-limit';
import type { ApiDeps } from '../deps.ts';
import { Problem } from '../http/problem.ts';

// OWASP Password Storage Cheat Sheet: argon2id, m = 19 MiB, t = 2, p = 1. argon2id is the default.
const ARGON2 = { memoryCost: 19_456, timeCost: 2, parallelism: 1 };
const CONCURRENCY_MAX = 4; // each takes 19 MiB, and a thread of libuv's four
const WAITING_MAX = 100; // past this, a login would wait for seconds

/** What `password_salt` gives. The costs are bounded as `register_user` bounds them. */
const PARAMETERS =
  /^\$argon2id\$v=19\$m=([1-9]\d{3,4}),t=([1-9]),p=([1-9])\$([A-Za-z0-9+/]{22,64})$/;

export type Passwords = ReturnType<typeof createPasswords>;

/** What registration and login use. */
export type AccountDeps = ApiDeps & { passwords: Passwords };

/** Hashes passwords off the event loop, a few at a time. Throws `overloaded` past a bound. */
export function createPasswords() {
  const limit = pLimit(CONCURRENCY_MAX);
  const decoy = { ...ARGON2, salt: randomBytes(16) };

  async function bounded<T>(work: () => Promise<T>): Promise<T> {
    if (limit.pendingCount >= WAITING_MAX) throw new Problem('overloaded');
    return limit(work);
  }

  return {
    /** The argon2id hash of a new password, in PHC string format. */
    hash: (password: string): Promise<string> => bounded(() => hash(password, ARGON2)),

    /**
     * The hash that an account stores if this is its password. `parameters` is a PHC string without
     * the hash; null, for an unknown account, takes the same time and gives a hash that no account has.
     */
    salted: (password: string, parameters: string | null): Promise<string> =>
      bounded(() => hash(password, optionsOf(parameters) ?? decoy)),
  };
}

function optionsOf(parameters: string | null) {
  const [, memory, time, lanes, salt] = PARAMETERS.exec(parameters ?? '') ?? [];
  if (salt === undefined) return null;
  return {
    memoryCost: Number(memory),
    timeCost: Number(time),
    parallelism: Number(lanes),
    salt: Buffer.from(salt, 'base64'),
  };
}
