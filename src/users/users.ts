import { randomUUIDv7 } from 'node:crypto';
import { sql } from 'slonik';
import { z } from 'zod';
import type { ApiDeps as Deps } from '../deps.ts';
import { Problem } from '../http/problem.ts';
import { User, type Credentials, type NewUser } from './schema.ts';

const StoredUser = User.extend({ password_hash: z.string() });

/** Creates an account. Two with the same address, in whatever case, end as `email-taken`. */
export async function register({ pool, passwords }: Deps, input: NewUser): Promise<User> {
  const passwordHash = await passwords.hash(input.password);
  return pool.one(sql.type(User)`
    INSERT INTO users (id, name, email, password_hash)
    VALUES (${randomUUIDv7()}, ${input.name}, ${input.email}, ${passwordHash})
    RETURNING id, name, email
  `);
}

/** The account that these credentials belong to. Unknown address and wrong password look the same. */
export async function authenticate({ pool, passwords }: Deps, input: Credentials): Promise<User> {
  const found = await pool.maybeOne(sql.type(StoredUser)`
    SELECT id, name, email, password_hash FROM users WHERE lower(email) = lower(${input.email})
  `);
  const matches = await passwords.verify(found?.password_hash, input.password);
  if (!found || !matches) throw new Problem('invalid-credentials');
  return { id: found.id, name: found.name, email: found.email };
}

/** The account behind an access token. */
export async function findUser({ pool }: Deps, id: string): Promise<User> {
  const user = await pool.maybeOne(sql.type(User)`
    SELECT id, name, email FROM users WHERE id = ${id}
  `);
  if (!user) throw new Problem('invalid-token');
  return user;
}
