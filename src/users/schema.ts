import { z } from 'zod';
import type { Config } from '../config.ts';
import { Text } from '../http/text.ts';
import { canonicalEmail } from './email.ts';
import { guessable, opaqueString } from './password-rules.ts';

const PASSWORD_LENGTH_MAX = 200;

export const User = z
  .object({ id: z.guid(), name: z.string(), email: z.string() })
  .meta({ id: 'User' });
export type User = z.infer<typeof User>;

/** An email address in any spelling, parsed into its one canonical form. */
const Email = z
  .string()
  .max(254)
  .meta({ format: 'idn-email', example: 'ada@example.com' })
  .transform((address, ctx) => {
    const email = canonicalEmail(address);
    if (email === null) ctx.addIssue('is not a valid email address');
    return email ?? z.NEVER;
  });

/** A password, converted to the form that is hashed. The limits on its length apply to this form. */
const Password = Text.overwrite(opaqueString).max(PASSWORD_LENGTH_MAX);

/** The body of a registration. The minimum length of a password is a setting. */
export function newUser(config: Pick<Config, 'PASSWORD_MIN_LENGTH'>) {
  return z
    .strictObject({
      name: Text.min(1)
        .max(200)
        .refine((name) => name.trim() !== '', 'must not be blank'),
      email: Email,
      password: newPassword(config),
    })
    .superRefine(({ name, email, password }, ctx) => {
      const mistake = guessable(password, knownOf({ name, email }));
      if (mistake) ctx.addIssue({ code: 'custom', path: ['password'], message: mistake });
    })
    .meta({ id: 'NewUser' });
}

/** What strangers can know of an account. */
export function knownOf({ name, email }: Pick<User, 'name' | 'email'>): string[] {
  return [name, email, email.slice(0, email.lastIndexOf('@'))];
}

/** The body of a change of the password. `known` is what strangers can know of the account. */
export function passwordChange(
  config: Pick<Config, 'PASSWORD_MIN_LENGTH'>,
  known: readonly string[] = [],
) {
  return z
    .strictObject({
      current_password: Password.min(1),
      new_password: unguessable(config, known),
    })
    .meta({ id: 'PasswordChange' });
}
export type PasswordChange = z.infer<ReturnType<typeof passwordChange>>;

/** The body of a reset of the password. */
export function passwordReset(config: Pick<Config, 'PASSWORD_MIN_LENGTH'>) {
  return z
    .strictObject({
      token: z.string().min(1).max(200).meta({ description: 'The token that staff gave you' }),
      new_password: unguessable(config, []),
    })
    .meta({ id: 'PasswordReset' });
}
export type PasswordReset = z.infer<ReturnType<typeof passwordReset>>;

function unguessable(config: Pick<Config, 'PASSWORD_MIN_LENGTH'>, known: readonly string[]) {
  return newPassword(config).superRefine((password, ctx) => {
    const mistake = guessable(password, known);
    if (mistake) ctx.addIssue({ code: 'custom', message: mistake });
  });
}

function newPassword({ PASSWORD_MIN_LENGTH }: Pick<Config, 'PASSWORD_MIN_LENGTH'>) {
  return Password.min(PASSWORD_MIN_LENGTH);
}
export type NewUser = z.infer<ReturnType<typeof newUser>>;

/** The body of a login. PASSWORD_MIN_LENGTH does not apply: a password that is too short is wrong like any other. */
export const Credentials = z
  .strictObject({ email: Email, password: Password.min(1) })
  .meta({ id: 'Credentials' });
export type Credentials = z.infer<typeof Credentials>;

/** The body of a refresh or a logout, for clients without cookies. */
export const RefreshRequest = z
  .strictObject({ refresh_token: z.string().min(1).max(200).optional() })
  .meta({ id: 'RefreshRequest' });

/** A session as its user sees it, without `current`, which depends on the request. */
export const ListedSession = z.object({
  id: z.guid(),
  created_at: z.iso.datetime(),
  last_used_at: z.iso.datetime().meta({ description: 'The login or the newest refresh' }),
  expires_at: z.iso.datetime(),
  network: z.string().nullable().meta({
    description: 'The network where the session was last used',
    example: '203.0.113.0/24',
  }),
  user_agent: z.string().nullable(),
});
export type ListedSession = z.infer<typeof ListedSession>;

export const SessionList = z
  .object({
    sessions: z.array(
      ListedSession.extend({
        current: z.boolean().meta({ description: 'Whether this session made the request' }),
      }),
    ),
  })
  .meta({ id: 'SessionList' });

export const SessionId = z.object({ id: z.guid() });

/** A JSON Web Key Set (RFC 7517) of Ed25519 keys (RFC 8037). */
export const KeySet = z
  .object({
    keys: z.array(
      z.object({
        kty: z.literal('OKP'),
        crv: z.literal('Ed25519'),
        x: z.string(),
        kid: z.string(),
        alg: z.literal('EdDSA'),
        use: z.literal('sig'),
      }),
    ),
  })
  .meta({ id: 'KeySet' });

export const AccessToken = z
  .object({
    access_token: z.string(),
    token_type: z.literal('bearer'),
    expires_in: z.int().meta({ description: 'Lifetime of the access token in seconds' }),
    refresh_token: z
      .string()
      .optional()
      .meta({ description: 'Present only when the request had its refresh token in the body' }),
  })
  .meta({ id: 'AccessToken' });
export type AccessToken = z.infer<typeof AccessToken>;
