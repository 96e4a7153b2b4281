/*
 * The keys of access tokens. One key signs tokens, and all keys verify them. A token names its key (`kid`). So a key
 * can be replaced without logging users out: first every process gets the new key to verify tokens, then to sign them.
 */
import { createHash, type KeyObject } from 'node:crypto';
import jsonwebtoken from 'jsonwebtoken';
import { readPublicKeys, readSigner, type Signer } from '../audit/keys.ts';
import type { ApiConfig } from '../config.ts';

type KeySettings = Pick<
  ApiConfig,
  'JWT_SECRET' | 'JWT_SECRETS_ACCEPTED' | 'JWT_KEY_FILE' | 'JWT_PUBLIC_KEYS_FILE'
>;

export type TokenKeys = ReturnType<typeof createTokenKeys>;

/** Reads the keys that the settings name. Throws a ReadableError when a file is missing or contains no Ed25519 key. */
export function createTokenKeys(config: KeySettings) {
  const { JWT_SECRET, JWT_SECRETS_ACCEPTED, JWT_KEY_FILE, JWT_PUBLIC_KEYS_FILE } = config;
  const signer = JWT_KEY_FILE ? readSigner(JWT_KEY_FILE) : undefined;
  const ownKeys = signer ? [[signer.id, signer.publicKey] as const] : [];
  const furtherKeys = JWT_PUBLIC_KEYS_FILE ? readPublicKeys(JWT_PUBLIC_KEYS_FILE) : [];
  const publicKeys = new Map([...ownKeys, ...furtherKeys]);
  const secrets = [...(signer ? [] : [JWT_SECRET]), ...JWT_SECRETS_ACCEPTED];
  const secretsById = new Map(secrets.map((secret) => [secretId(secret), secret]));
  return {
    /** Signs claims as a JWT of a type. */
    sign(claims: object, typ: string): string {
      if (signer) return signByKey(signer, claims, typ);
      const header = { alg: 'HS256', typ, kid: secretId(JWT_SECRET) };
      return jsonwebtoken.sign(claims, JWT_SECRET, { header });
    },

    /** The secret that verifies the tokens with this key id. */
    secretOf: (kid: string | undefined): string | undefined => secretsById.get(kid ?? ''),

    /** The public key that verifies the tokens with this key id. */
    publicKeyOf: (kid: string | undefined): KeyObject | undefined => publicKeys.get(kid ?? ''),

    /** The public keys as a JSON Web Key Set (RFC 7517): of JWT_KEY_FILE and JWT_PUBLIC_KEYS_FILE. */
    jwks: { keys: [...publicKeys].map(([kid, key]) => publicJwk(kid, key)) },
  };
}

/** Signs by RFC 8037. Without jose, which would wait for a thread of libuv until passwords have been hashed. */
function signByKey({ id, sign }: Signer, claims: object, typ: string): string {
  const parts = [{ alg: 'EdDSA', typ, kid: id }, claims];
  const text = parts
    .map((part) => Buffer.from(JSON.stringify(part)).toString('base64url'))
    .join('.');
  return `${text}.${sign(Buffer.from(text)).toString('base64url')}`;
}

/** Returns the key id of a secret. This hash reveals no more about a long secret than a signature does. */
function secretId(secret: string): string {
  return createHash('sha256').update(`kid ${secret}`).digest('hex').slice(0, 16);
}

function publicJwk(kid: string, key: KeyObject) {
  return Object.assign(key.export({ format: 'jwk' }), { kid, alg: 'EdDSA', use: 'sig' });
}
