import { randomBytes } from 'node:crypto';
import { hash } from '@node-rs/argon2';
import type { ApiDeps } from '../deps.ts';
import { FairQueue, type Caller } from './fair-queue.ts';

// OWASP Password Storage Cheat Sheet: argon2id, m = 19 MiB, t = 2, p = 1. argon2id is the default.
const ARGON2 = { memoryCost: 19_456, timeCost: 2, parallelism: 1 };
const BOUNDS = {
  concurrency: 4, // each takes 19 MiB and one of the four threads of libuv
  networkWaitingMax: 200, // enough for the users of an office who log in at the same time
  waitingMax: 1000,
};

/** The parameters and the salt that `password_salt` returns, with the bounds that `register_user` sets for them. */
const PARAMETERS =
  /^\$argon2id\$v=19\$m=([1-9]\d{3,4}),t=([1-9]),p=([1-9])\$([A-Za-z0-9+/]{22,64})$/;

/** Hashes passwords outside the event loop. */
type Hashing = {
  /** Returns the argon2id hash of a new password, in PHC string format. */
  hash: (password: string) => Promise<string>;
  /**
   * Returns the hash that is stored for the account if the password is right. `parameters` is a PHC string without the
   * hash. With null, for an unknown account, this takes the same time and returns a hash that no account has.
   */
  salted: (password: string, parameters: string | null) => Promise<string>;
};

/** Runs work that hashes when its turn comes: four pieces of work at a time, networks in turn (fair-queue.ts). */
export type PasswordHasher = {
  inTurn<T>(caller: Caller, work: (hashing: Hashing) => Promise<T>): Promise<T>;
};

/** The dependencies of functions that hash passwords. */
export type AccountDeps = ApiDeps & { passwords: PasswordHasher };

/** Creates the queue in which the hashing of a process waits. */
export function createPasswordHasher(hashing: Hashing = createHashing()): PasswordHasher {
  const queue = new FairQueue(BOUNDS);
  return { inTurn: (caller, work) => queue.run(caller, () => work(hashing)) };
}

/** Creates the hashing of a process. For unknown accounts it uses a random salt that no other process has. */
export function createHashing(): Hashing {
  const decoy = { ...ARGON2, salt: randomBytes(16) };
  return {
    hash: (password) => hash(password, ARGON2),
    salted: (password, parameters) => hash(password, optionsOf(parameters) ?? decoy),
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
