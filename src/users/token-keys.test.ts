import {
  createHmac,
  createPublicKey,
  generateKeyPairSync,
  sign as signBytes,
  type KeyObject,
} from 'node:crypto';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { createLocalJWKSet, jwtVerify } from 'jose';
import { refresh, refreshTokenOf, startedSession } from '../../test/support/accounts.ts';
import { send, signUp, test, withSettings, type Context } from '../../test/support/context.ts';

const OLD = 'the-old-secret-of-32-characters!!';
const NEW = 'the-new-secret-of-32-characters!!';

/** The settings at each step in docs/operations.md. Processes of two neighbouring steps run at the same time. */
const secretSteps = [
  { JWT_SECRET: OLD },
  { JWT_SECRET: OLD, JWT_SECRETS_ACCEPTED: NEW },
  { JWT_SECRET: NEW, JWT_SECRETS_ACCEPTED: OLD },
  { JWT_SECRET: NEW },
];

test('a secret is replaced step by step, and each token works in the processes of both steps', async (t) => {
  t.is(await walk(t, secretSteps), secretSteps.length);
});

test('keys replace secrets, and keys replace keys, without logging users out', async (t) => {
  const [first, second] = [newKeyFiles(), newKeyFiles()];
  const both = join(mkdtempSync(join(tmpdir(), 'keys-')), 'both.pem');
  writeFileSync(both, `${first.publicPem}${second.publicPem}`);

  const steps = [
    { JWT_SECRET: OLD },
    { JWT_SECRET: OLD, JWT_PUBLIC_KEYS_FILE: first.publicFile },
    { JWT_SECRET: OLD, JWT_SECRETS_ACCEPTED: OLD, JWT_KEY_FILE: first.privateFile },
    { JWT_SECRET: OLD, JWT_KEY_FILE: first.privateFile, JWT_PUBLIC_KEYS_FILE: both },
    { JWT_SECRET: OLD, JWT_KEY_FILE: second.privateFile, JWT_PUBLIC_KEYS_FILE: both },
    { JWT_SECRET: OLD, JWT_KEY_FILE: second.privateFile },
  ];

  t.is(await walk(t, steps), steps.length);
});

test('a key that is not accepted any more, or not yet, verifies nothing', async (t) => {
  const key = newKeyFiles();
  const old = await withSettings(t, { JWT_SECRET: OLD });
  const later = await withSettings(t, { JWT_SECRET: OLD, JWT_KEY_FILE: key.privateFile });

  const bySecret = await startedSession(old);
  const byKey = await startedSession(later);

  t.deepEqual(
    [await statusOfMe(later.origin, bySecret), await statusOfMe(old.origin, byKey)],
    [401, 401],
  );
});

test('the published keys verify access tokens, and secrets are not published', async (t) => {
  const key = newKeyFiles();
  const service = await withSettings(t, { JWT_KEY_FILE: key.privateFile });
  const user = await signUp(service);

  const published = await send(service.origin, 'GET', '/.well-known/jwks.json');
  const none = await send(t.context.origin, 'GET', '/.well-known/jwks.json');

  t.deepEqual(none.body, { keys: [] });
  t.is(published.headers.get('cache-control'), 'public, max-age=300');
  t.deepEqual(Object.keys(published.body.keys[0]).sort(), ['alg', 'crv', 'kid', 'kty', 'use', 'x']);
  const { payload, protectedHeader } = await jwtVerify(
    user.token,
    createLocalJWKSet(published.body),
    { issuer: 'oms', audience: 'oms-api', typ: 'at+jwt' },
  );
  t.is(payload.sub, user.id);
  t.is(protectedHeader.kid, published.body.keys[0].kid);
});

test('a token with a signature of Ed25519 is checked like one of a secret', async (t) => {
  const { privateKey, privateFile } = newKeyFiles();
  const stranger = newKeyFiles();
  const service = await withSettings(t, { JWT_KEY_FILE: privateFile });
  const user = await signUp(service);
  const [header = '', payload = ''] = user.token.split('.').slice(0, 2).map(decode);
  const h = JSON.parse(header);
  const p = JSON.parse(payload);
  const publicPem = createPublicKey(privateKey).export({ type: 'spki', format: 'pem' });
  const tokens: [string, string, number][] = [
    ['unchanged', forge(h, p, privateKey), 200],
    ['another key', forge(h, p, stranger.privateKey), 401],
    ['no key id', forge({ ...h, kid: undefined }, p, privateKey), 401],
    ['an unknown key id', forge({ ...h, kid: 'x' }, p, privateKey), 401],
    ['another type', forge({ ...h, typ: 'JWT' }, p, privateKey), 401],
    ['no type', forge({ ...h, typ: undefined }, p, privateKey), 401],
    ['an extension', forge({ ...h, crit: ['exp'], exp: 1 }, p, privateKey), 401],
    ['expired', forge(h, { ...p, exp: p.iat - 1 }, privateKey), 401],
    ['no expiry', forge(h, { ...p, exp: undefined }, privateKey), 401],
    ['another issuer', forge(h, { ...p, iss: 'elsewhere' }, privateKey), 401],
    ['another audience', forge(h, { ...p, aud: 'elsewhere' }, privateKey), 401],
    ['no session', forge(h, { ...p, sid: undefined }, privateKey), 401],
    ['no signature', forge(h, p, privateKey).replace(/[^.]*$/, ''), 401],
    ['alg none', `${encode({ ...h, alg: 'none' })}.${encode(p)}.`, 401],
    ['the public key as a secret', hmac({ ...h, alg: 'HS256' }, p, publicPem), 401],
  ];

  for (const [what, token, expected] of tokens) {
    const access = { authorization: `Bearer ${token}` };
    t.is(await statusOfMe(service.origin, { access }), expected, what);
  }
});

/**
 * Starts a process for each step, and uses each session in the processes of its step and of the steps beside it.
 * Returns the number of steps.
 */
async function walk(t: ExecutionContext<Context>, steps: Record<string, string>[]) {
  const services = [];
  for (const settings of steps) services.push(await withSettings(t, settings));
  for (const [at, service] of services.entries()) {
    const session = await startedSession(service);
    for (const beside of services.slice(Math.max(at - 1, 0), at + 2)) {
      t.is(await statusOfMe(beside.origin, session), 200);
    }
    // A reply to a refresh is lost, and the repeat reaches a process of the next step.
    const next = services[at + 1] ?? service;
    const lost = await refresh(service, session.refreshToken);
    const repeated = await refresh(next, session.refreshToken);
    t.deepEqual([lost.status, repeated.status], [200, 200], `step ${at}`);
    t.is(refreshTokenOf(repeated), refreshTokenOf(lost));
  }
  return services.length;
}

function newKeyFiles() {
  const dir = mkdtempSync(join(tmpdir(), 'keys-'));
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  const [privateFile, publicFile] = [join(dir, 'private.pem'), join(dir, 'public.pem')];
  const publicPem = publicKey.export({ type: 'spki', format: 'pem' });
  writeFileSync(privateFile, privateKey.export({ type: 'pkcs8', format: 'pem' }));
  writeFileSync(publicFile, publicPem);
  return { privateKey, privateFile, publicFile, publicPem };
}

function forge(header: object, payload: object, key: KeyObject): string {
  const text = `${encode(header)}.${encode(payload)}`;
  return `${text}.${signBytes(null, Buffer.from(text), key).toString('base64url')}`;
}

function hmac(header: object, payload: object, secret: string): string {
  const text = `${encode(header)}.${encode(payload)}`;
  return `${text}.${createHmac('sha256', secret).update(text).digest('base64url')}`;
}

function encode(part: object): string {
  return Buffer.from(JSON.stringify(part)).toString('base64url');
}

function decode(part: string): string {
  return Buffer.from(part, 'base64url').toString();
}

async function statusOfMe(
  origin: string,
  { access }: { access: { authorization: string } },
): Promise<number> {
  return (await send(origin, 'GET', '/auth/me', { headers: access })).status;
}
