/*
 * Accounts and sessions of customers, through the API. It does not import ava, so the commands conformance, chaos and
 * bench use it too.
 */
import { randomBytes } from 'node:crypto';
import { ReadableError } from '../../src/process.ts';
import { send, type Fetch, type TestReply } from './http.ts';

export const PASSWORD = 'correct horse battery';

/** The address of an API, and the function that sends the requests: the global `fetch` by default. */
type Service = { origin: string; fetch?: Fetch | undefined };

/** The header that identifies a customer. */
export type Authorization = { authorization: string };

/** An email address that is unique in the run. */
export function newEmail(): string {
  return `${randomBytes(6).toString('hex')}@example.test`;
}

/** Registers a customer. The members of `account` replace the defaults. */
export function register({ origin, fetch }: Service, account: object = {}): Promise<TestReply> {
  const body = { name: 'Ada', email: newEmail(), password: PASSWORD, ...account };
  return send(origin, 'POST', '/auth/register', { fetch, body });
}

/** Logs in. Returns the unchanged reply. */
export function logIn(
  { origin, fetch }: Service,
  email: string,
  password = PASSWORD,
): Promise<TestReply> {
  return send(origin, 'POST', '/auth/login', { fetch, body: { email, password } });
}

/** Registers a customer and logs in. Throws a readable error when the API refuses either request. */
export async function registerAndLogIn(service: Service, name = 'Ada'): Promise<Authorization> {
  const email = newEmail();
  const registered = await register(service, { name, email });
  requireStatus(registered, 201, `${service.origin}/auth/register`);
  const loggedIn = await logIn(service, email);
  requireStatus(loggedIn, 200, `${service.origin}/auth/login`);
  return authorizationOf(loggedIn);
}

/** Registers a customer and logs in. Returns the access token as a header, and the refresh token. */
export async function startedSession(service: Service) {
  const { email, id } = (await register(service)).body;
  const reply = await logIn(service, email);
  return { id, email, access: authorizationOf(reply), refreshToken: refreshTokenOf(reply) };
}

/** The refresh token that a reply sets as cookie; empty when the reply removes the cookie. */
export function refreshTokenOf({ headers }: Pick<TestReply, 'headers'>): string {
  return /^__Host-refresh_token=([^;]*)/.exec(headers.getSetCookie()[0] ?? '')?.[1] ?? '';
}

/** Requests a new access token, with the refresh token in a cookie as a browser sends it. */
export function refresh({ origin, fetch }: Service, refreshToken: string): Promise<TestReply> {
  const headers = { cookie: `__Host-refresh_token=${refreshToken}` };
  return send(origin, 'POST', '/auth/refresh', { fetch, headers });
}

function authorizationOf({ body }: TestReply): Authorization {
  return { authorization: `Bearer ${body.access_token}` };
}

function requireStatus({ status }: TestReply, expected: number, url: string): void {
  if (status !== expected)
    throw new ReadableError(`POST ${url} answered ${status}, not ${expected}`);
}
