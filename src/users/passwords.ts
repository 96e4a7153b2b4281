import { randomBytes } from 'node:crypto';
import { hash } from '@node-rs/argon2';
import pLimit from 'p-limit';
import type { ApiDeps } from '../deps.ts';
import { Problem } from '../http/problem.ts';

// OWASP Password Storage Cheat Sheet: argon2id, m = 19 MiB, t = 2, p = 1. argon2id is the default.
const ARGON2 = { memoryCost: 19_456, timeCost: 2, parallelism: 1 };
const CONCURRENCY_MAX = 4; // each takes 19 MiB and one of the four threads of libuv
const WAITING_MAX = 100; // with more, a login would wait for seconds

/** The result of `password_salt`. Allows the same costs as `register_user`. */
const PARAMETERS =
  /^\$argon2id\$v=19\$m=([1-9]\d{3,4}),t=([1-9]),p=([1-9])\$([A-Za-z0-9+/]{22,64})$/;

export type PasswordHasher = ReturnType<typeof createPasswordHasher>;

/** The dependencies of registration and login. */
export type AccountDeps = ApiDeps & { passwords: PasswordHasher };

/** Hashes passwords outside the event loop, four at a time. Throws `overloaded` when 100 passwords wait. */
export function createPasswordHasher() {
  const limit = pLimit(CONCURRENCY_MAX);
  const decoy = { ...ARGON2, salt: randomBytes(16) };

  async function bounded<T>(work: () => Promise<T>): Promise<T> {
    if (limit.pendingCount >= WAITING_MAX) throw new Problem('overloaded');
    return limit(work);
  }

  return {
    /** Returns the argon2id hash of a new password, in PHC string format. */
    hash: (password: string): Promise<string> => bounded(() => hash(password, ARGON2)),

    /**
     * Returns the hash that is stored for the account if the password is right. `parameters` is a PHC string without
     * the hash. With null, for an unknown account, this takes the same time and returns a hash that no account has.
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
