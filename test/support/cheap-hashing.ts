import { createHash, randomBytes, randomUUIDv7 } from 'node:crypto';
import { sql } from 'slonik';
import { createPasswordHasher } from '../../src/users/passwords.ts';
import { PASSWORD } from './accounts.ts';
import type { TestDeps } from './context.ts';

const SALT = `$argon2id$v=19$m=19456,t=2,p=1$${'A'.repeat(22)}`;

/** A password hasher with the queue of the service. It makes cheap hashes and counts them: for tests of many logins. */
export function countingHasher() {
  const count = { hashes: 0 };
  const hash = async (password: string) => {
    count.hashes += 1;
    await new Promise(setImmediate); // like a real hash, it lets other work run meanwhile
    return cheapHash(password);
  };
  return { count, passwords: createPasswordHasher({ hash, salted: hash }) };
}

/** Creates an account whose password is PASSWORD, for a service with a counting hasher. */
export async function cheapAccount({ pool }: Pick<TestDeps, 'pool'>): Promise<string> {
  const email = `${randomBytes(6).toString('hex')}@example.test`;
  await pool.query(sql.unsafe`
    INSERT INTO users (id, name, email, password_hash)
    VALUES (${randomUUIDv7()}, 'Ada', ${email}, ${cheapHash(PASSWORD)})
  `);
  return email;
}

function cheapHash(password: string): string {
  const digest = createHash('sha256').update(password).digest('base64').slice(0, 43);
  return `${SALT}$${digest}`;
}
