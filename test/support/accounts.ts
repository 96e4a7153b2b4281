import { randomBytes } from 'node:crypto';
import { send, type Context, type Reply } from './context.ts';

export const PASSWORD = 'correct horse battery';

type Service = Pick<Context, 'origin'>;

/** An email address that is unique in the run. */
export function newEmail(): string {
  return `${randomBytes(6).toString('hex')}@example.test`;
}

/** Registers through the API. The members of `account` replace the defaults. */
export function register({ origin }: Service, account: object = {}): Promise<Reply> {
  const body = { name: 'Ada', email: newEmail(), password: PASSWORD, ...account };
  return send(origin, 'POST', '/auth/register', { body });
}

/** Logs in. Returns the unchanged reply. */
export function logIn({ origin }: Service, email: string, password = PASSWORD): Promise<Reply> {
  return send(origin, 'POST', '/auth/login', { body: { email, password } });
}

/** A new user who has just logged in, with both tokens. */
export async function startedSession(service: Service) {
  const { email, id } = (await register(service)).body;
  const reply = await logIn(service, email);
  return {
    id,
    email,
    access: { authorization: `Bearer ${reply.body.access_token}` },
    refreshToken: refreshTokenOf(reply),
  };
}

/** The refresh token that a reply sets as cookie; empty when the reply removes the cookie. */
export function refreshTokenOf({ headers }: Pick<Reply, 'headers'>): string {
  return /^refresh_token=([^;]*)/.exec(headers.getSetCookie()[0] ?? '')?.[1] ?? '';
}

/** Requests a new access token, with the refresh token in a cookie like a browser. */
export function refresh({ origin }: Service, refreshToken: string): Promise<Reply> {
  const headers = { cookie: `refresh_token=${refreshToken}` };
  return send(origin, 'POST', '/auth/refresh', { headers });
}
