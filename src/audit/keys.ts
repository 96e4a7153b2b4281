import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  sign,
  verify,
  type KeyObject,
} from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { ReadableError } from '../process.ts';

/** The command that makes a key, for error messages. */
const MAKE_KEY = 'openssl genpkey -algorithm ed25519 -out';

/** Signs with the private key of a file. `id` names the public key that verifies it. */
export type Signer = { id: string; publicKey: KeyObject; sign: (bytes: Buffer) => Buffer };

/** A new Ed25519 private key (PEM, PKCS 8). */
export function newSigningKey(): string {
  const { privateKey } = generateKeyPairSync('ed25519');
  return privateKey.export({ type: 'pkcs8', format: 'pem' });
}

/** Reads an Ed25519 private key (PEM, PKCS 8). When there is none, throws a ReadableError that says how to make one. */
export function readSigner(file: string | undefined): Signer {
  if (file === undefined) {
    throw new ReadableError(
      `Signing needs a key: ${MAKE_KEY} audit-key.pem, and set AUDIT_SIGNING_KEY_FILE=audit-key.pem`,
    );
  }
  const pem = readKeyFile(file, `make a key with ${MAKE_KEY} ${file}`);
  const privateKey = parseSigningKey(file, () => createPrivateKey(pem));
  const publicKey = createPublicKey(privateKey);
  return { id: keyId(publicKey), publicKey, sign: (bytes) => sign(null, bytes, privateKey) };
}

/** Public keys by id. After a change of the signing key, the old public key stays: it verifies older signatures. */
export type PublicKeys = Map<string, KeyObject>;

/** Reads the Ed25519 public keys of a file. A private key also works: it contains its public key. */
export function readPublicKeys(file: string): PublicKeys {
  const pem = readKeyFile(
    file,
    'openssl pkey -in KEY -pubout writes the public key of a private key',
  );
  const blocks = pem.match(/-----BEGIN [^-]+-----[^-]+-----END [^-]+-----/g) ?? [''];
  const keys = blocks.map((block) => parseSigningKey(file, () => createPublicKey(block)));
  return new Map(keys.map((key) => [keyId(key), key]));
}

/** First 16 hex digits of the sha256 of the public key as SubjectPublicKeyInfo. */
function keyId(publicKey: KeyObject): string {
  const der = publicKey.export({ type: 'spki', format: 'der' });
  return createHash('sha256').update(der).digest('hex').slice(0, 16);
}

/**
 * The trusted public keys: of --key, else of AUDIT_SIGNING_KEY_FILE with `.pub`, else of AUDIT_SIGNING_KEY_FILE. Null
 * without any of them.
 */
export function trustedKeys(
  key: string | undefined,
  signingKeyFile: string | undefined,
): PublicKeys | null {
  if (key !== undefined) return readPublicKeys(key);
  if (signingKeyFile === undefined) return null;
  const beside = `${signingKeyFile}.pub`;
  return readPublicKeys(existsSync(beside) ? beside : signingKeyFile);
}

/** Whether a base64 signature over the bytes was made by the key. */
export function isSignedBy(publicKey: KeyObject, bytes: Buffer, signature: string): boolean {
  const raw = Buffer.from(signature, 'base64');
  // The last base64 digit has unused bits, so several texts stand for one signature. Only the usual text is accepted.
  return raw.toString('base64') === signature && verify(null, bytes, publicKey, raw);
}

function readKeyFile(file: string, advice: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (cause) {
    throw new ReadableError(`The key file ${file} cannot be read; ${advice}`, { cause });
  }
}

function parseSigningKey(file: string, parse: () => KeyObject): KeyObject {
  let key: KeyObject | undefined;
  try {
    key = parse();
  } catch {
    // the error below is the same as for a key of another type
  }
  if (key?.asymmetricKeyType === 'ed25519') return key;
  throw new ReadableError(`${file} is not an Ed25519 key in PEM; make one with ${MAKE_KEY} FILE`);
}
