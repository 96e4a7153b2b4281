import { createHash, createHmac, pbkdf2Sync, randomBytes } from 'node:crypto';
import { ReadableError } from '../process.ts';

/** The default of Postgres, and the minimum of RFC 7677. */
const ITERATIONS = 4096;
const SALT_BYTES = 16;

/**
 * The verifier that Postgres stores for a password: enough to check the password, not enough to log in. Sent instead of
 * the password, so that the password never reaches the server's log. RFC 5802, RFC 7677. Throws when the password
 * contains a control character.
 */
export function scramVerifier(password: string, salt: Buffer = randomBytes(SALT_BYTES)): string {
  const salted = pbkdf2Sync(prepared(password), salt, ITERATIONS, 32, 'sha256');
  const storedKey = createHash('sha256').update(hmac(salted, 'Client Key')).digest('base64');
  const serverKey = hmac(salted, 'Server Key').toString('base64');
  return `SCRAM-SHA-256$${ITERATIONS}:${salt.toString('base64')}$${storedKey}:${serverKey}`;
}

function hmac(key: Buffer, text: string): Buffer {
  return createHmac('sha256', key).update(text).digest();
}

const CONTROL_CHARACTER = /\p{Cc}/u;
const SPACE = /[\u00A0\u1680\u2000-\u200B\u202F\u205F\u3000]/gu;
const DROPPED =
  /\u00AD|\u034F|\u1806|\u180B|\u180C|\u180D|\u200C|\u200D|\u2060|[\uFE00-\uFE0F]|\uFEFF/gu;

/** SASLprep (RFC 4013), with the steps that libpq and node-postgres take when they log in. */
function prepared(password: string): string {
  if (CONTROL_CHARACTER.test(password)) {
    throw new ReadableError('A database password must not contain control characters');
  }
  return password.replace(SPACE, ' ').replace(DROPPED, '').normalize('NFKC');
}
