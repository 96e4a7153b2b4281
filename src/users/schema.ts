import { z } from 'zod';
import type { Config } from '../config.ts';
import { Text } from '../http/text.ts';

const PASSWORD_LENGTH_MAX = 200;

export const User = z
  .object({ id: z.guid(), name: z.string(), email: z.string() })
  .meta({ id: 'User' });
export type User = z.infer<typeof User>;

const Email = z.email().max(254).meta({ example: 'ada@example.com' });

/** What a client sends to register. The shortest password allowed is a setting. */
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

/** Login says no more about a wrong password than that it is wrong: no minimum length here. */
export const Credentials = z
  .strictObject({ email: Email, password: Text.min(1).max(PASSWORD_LENGTH_MAX) })
  .meta({ id: 'Credentials' });
export type Credentials = z.infer<typeof Credentials>;

/** The refresh token may come in the body instead of the cookie. */
export const RefreshRequest = z
  .strictObject({ refresh_token: z.string().min(1).max(200).optional() })
  .meta({ id: 'RefreshRequest' });

export const AccessToken = z
  .object({
    access_token: z.string(),
    token_type: z.literal('bearer'),
    expires_in: z.int().meta({ description: 'Seconds' }),
    refresh_token: z
      .string()
      .optional()
      .meta({ description: 'Only when the request carried its refresh token in the body' }),
  })
  .meta({ id: 'AccessToken' });
export type AccessToken = z.infer<typeof AccessToken>;
