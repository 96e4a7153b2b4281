import { randomUUIDv7 } from 'node:crypto';
import { sql } from 'slonik';
import type { ApiDeps } from '../deps.ts';
import { Problem } from '../http/problem.ts';
import type { Caller } from './fair-queue.ts';
import type { AccountDeps } from './passwords.ts';
import { User, type NewUser } from './schema.ts';

/** Creates an account. Throws `email-taken` for an address that is registered, in any spelling. */
export async function register(
  { pool, passwords }: AccountDeps,
  input: NewUser,
  caller: Caller,
): Promise<User> {
  const user = { id: randomUUIDv7(), name: input.name, email: input.email };
  const passwordHash = await passwords.inTurn(caller, ({ hash }) => hash(input.password));
  await pool.query(sql.unsafe`
    SELECT register_user(${user.id}, ${user.name}, ${user.email}, ${passwordHash})
  `);
  return user;
}

/** Finds the account of an access token. Throws `invalid-token` when the account does not exist any more. */
export async function findUser({ pool }: ApiDeps, id: string): Promise<User> {
  const user = await pool.maybeOne(sql.prepared('find-user', User)`
    SELECT id, name, email FROM find_user(${id})
  `);
  if (!user) throw new Problem('invalid-token');
  return user;
}
