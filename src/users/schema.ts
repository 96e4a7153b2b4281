import { z } from 'zod';
import type { Config } from '../config.ts';
import { Text } from '../http/text.ts';

const PASSWORD_LENGTH_MAX = 200;

export const User = z
  .object({ id: z.guid(), name: z.string(), email: z.string() })
  .meta({ id: 'User' });
export type User = z.infer<typeof User>;

const Email = z.email().max(254).meta({ example: 'ada@example.com' });

/** The body of a registration. The minimum length of a password is a setting. */
export function newUser({ PASSWORD_MIN_LENGTH }: Pick<Config, 'PASSWORD_MIN_LENGTH'>) {
  return z
    .strictObject({
      name: Text.min(1)
        .max(200)
        .refine((name) => name.trim() !== '', 'must not be blank'),
      email: Email,
      password: Text.min(PASSWORD_MIN_LENGTH).max(PASSWORD_LENGTH_MAX),
    })
    .meta({ id: 'NewUser' });
}
export type NewUser = z.infer<ReturnType<typeof newUser>>;

/** The body of a login. It has no minimum length: a password that is too short is just wrong. */
export const Credentials = z
  .strictObject({ email: Email, password: Text.min(1).max(PASSWORD_LENGTH_MAX) })
  .meta({ id: 'Credentials' });
export type Credentials = z.infer<typeof Credentials>;

/** The body of a refresh or a logout, for clients without cookies. */
export const RefreshRequest = z
  .strictObject({ refresh_token: z.string().min(1).max(200).optional() })
  .meta({ id: 'RefreshRequest' });

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
