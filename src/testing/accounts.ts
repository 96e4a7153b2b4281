import { randomBytes } from 'node:crypto';
import { send, type Context, type Reply } from './context.ts';

export const PASSWORD = 'correct horse battery';

type Service = Pick<Context, 'origin'>;

/** An address that nobody else in the run signs up with. */
export function newEmail(): string {
  return `${randomBytes(6).toString('hex')}@example.test`;
}

/** Registers through the front door. What is passed replaces what would be sent. */
export function register({ origin }: Service, account: object = {}): Promise<Reply> {
  const body = { name: 'Ada', email: newEmail(), password: PASSWORD, ...account };
  return send(origin, 'POST', '/auth/register', { body });
}

/** Logs in; the reply as it came. */
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

/** The refresh token that a reply sets as cookie; empty when it takes the cookie away. */
export function refreshTokenOf({ headers }: Pick<Reply, 'headers'>): string {
  return /^refresh_token=([^;]*)/.exec(headers.getSetCookie()[0] ?? '')?.[1] ?? '';
}

/** Asks for a new access token, with the refresh token in a cookie as a browser has it. */
export function refresh({ origin }: Service, refreshToken: string): Promise<Reply> {
  const headers = { cookie: `refresh_token=${refreshToken}` };
  return send(origin, 'POST', '/auth/refresh', { headers });
}
