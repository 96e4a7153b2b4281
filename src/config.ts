import { existsSync } from 'node:fs';
import { Webhook } from 'standardwebhooks';
import { z } from 'zod';

// Not int(): when that fails, zod leaves out the rules between settings, and their mistakes.
const integer = (min: number, max: number) =>
  z.coerce.number().multipleOf(1, 'must be a whole number').min(min).max(max);
const perMinute = integer(0, 1_000_000); // 0 switches the limit off

const database = {
  DATABASE_URL: z.url({ protocol: /^postgres(ql)?$/, error: 'must be a postgres:// URL' }),
  POOL_SIZE_MAX: integer(2, 200).default(10),
  QUEUE_POOL_SIZE_MAX: integer(2, 200).default(5),
};

const redis = {
  REDIS_URL: z.url({ protocol: /^rediss?$/, error: 'must be a redis:// URL' }).optional(),
  REDIS_PREFIX: z.string().min(1).max(50).default('oms'),
};

const http = {
  HOST: z.string().default('127.0.0.1'),
  PORT: integer(0, 65_535).default(8000),
  WORKER_PORT: integer(0, 65_535).optional(),
  TRUSTED_PROXIES: z
    .string()
    .default('')
    .transform((list) => list.split(',').flatMap((entry) => entry.trim() || []))
    .pipe(z.array(z.union([z.ipv4(), z.ipv6(), z.cidrv4(), z.cidrv6()]))),
  LOG_LEVEL: z.enum(['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent']).default('info'),
  SHUTDOWN_TIMEOUT_SECONDS: integer(1, 600).default(20),
};

const auth = {
  JWT_SECRET: z.string().min(32, 'must have at least 32 characters'),
  ACCESS_TOKEN_TTL_SECONDS: integer(1, 86_400).default(900),
  REFRESH_TOKEN_TTL_SECONDS: integer(1, 365 * 86_400).default(7 * 86_400),
  REFRESH_GRACE_SECONDS: integer(0, 300).default(10),
  PASSWORD_MIN_LENGTH: integer(1, 128).default(8),
};

const limits = {
  RATE_LIMIT_REGISTER: perMinute.default(5),
  RATE_LIMIT_LOGIN: perMinute.default(5),
  RATE_LIMIT_REFRESH: perMinute.default(10),
  RATE_LIMIT_CREATE: perMinute.default(20),
  RATE_LIMIT_LIST: perMinute.default(30),
  RATE_LIMIT_CANCEL: perMinute.default(10),
};

const intake = {
  INTAKE_LANES: integer(1, 50).default(2),
  INTAKE_BATCH_SIZE_MAX: integer(1, 1000).default(500),
  INTAKE_QUEUE_MAX: integer(1, 100_000).default(5000),
  INTAKE_LOCK_TIMEOUT_MS: integer(50, 9_000).default(1000), // any statement is ended after 10 s
};

const retries = {
  IDEMPOTENCY_KEY_TTL_HOURS: integer(1, 8760).default(24),
};

const work = {
  WORKER_BATCH_SIZE: integer(1, 1000).default(500),
  WORKER_CONCURRENCY: integer(1, 50).default(3),
  WORKER_POLL_SECONDS: z.coerce.number().min(0.5).max(1).default(1),
  HEARTBEAT_SECONDS: integer(10, 3600).default(10), // pg-boss takes no less than 10
};

const fulfilment = {
  FULFILMENT_URL: z.url({ protocol: /^https?$/, error: 'must be an http(s) URL' }).optional(),
  FULFILMENT_SECRET: z
    .string()
    .refine(isWebhookSecret, 'must be base64, optionally after whsec_')
    .optional(),
  FULFILMENT_TIMEOUT_MS: integer(1, 30_000).default(10_000),
  FULFILMENT_CONCURRENCY: integer(1, 200).default(16),
};

const audit = {
  AUDIT_SIGNING_KEY_FILE: z.string().optional(),
};

/** Every setting of the service. Names are those of the environment; `.env.example` explains each. */
export const Config = z
  .object({
    ...database,
    ...redis,
    ...http,
    ...auth,
    ...limits,
    ...intake,
    ...retries,
    ...work,
    ...fulfilment,
    ...audit,
  })
  .refine(
    ({ FULFILMENT_URL, FULFILMENT_SECRET }) => !FULFILMENT_URL || FULFILMENT_SECRET !== undefined,
    {
      path: ['FULFILMENT_SECRET'],
      error: 'is required when FULFILMENT_URL is set',
      when: () => true, // also beside other mistakes: all are reported at once
    },
  );
export type Config = z.infer<typeof Config>;

/** What migrating needs: no secret of the service, but the passwords that its roles are to log in with. */
export const MigrateConfig = z.object({
  ...database,
  LOG_LEVEL: http.LOG_LEVEL,
  HEARTBEAT_SECONDS: work.HEARTBEAT_SECONDS,
  API_DATABASE_PASSWORD: z.string().min(8).optional(),
  WORKER_DATABASE_PASSWORD: z.string().min(8).optional(),
});
export type MigrateConfig = z.infer<typeof MigrateConfig>;

/** What `npm run audit` needs; nothing at all to verify evidence. */
export const AuditConfig = z.object({
  ...audit,
  DATABASE_URL: database.DATABASE_URL.optional(),
  AUDIT_DATABASE_URL: database.DATABASE_URL.optional(),
});
export type AuditConfig = z.infer<typeof AuditConfig>;

/** Where `npm start` keeps its own Postgres, secret and lock. */
export const StartConfig = z.object({ DATA_DIR: z.string().min(1).default('.data') });

/** A setting that is missing or wrong. The message names every mistake, one a line. */
export class ConfigError extends Error {
  override name = 'ConfigError';
}

export type Environment = Record<string, string | undefined>;

/** The environment, completed from a file `.env` in the working directory where there is one. */
export function readEnvironment(): Environment {
  if (existsSync('.env')) process.loadEnvFile('.env'); // what is set already wins
  return process.env;
}

/** Reads settings from the environment; an empty variable counts as not set. Throws ConfigError. */
export function loadConfig<S extends z.ZodType = typeof Config>(
  env: Environment = readEnvironment(),
  schema: S = Config as unknown as S,
): z.output<S> {
  const given = withoutEmpty(env);
  const result = schema.safeParse(given);
  if (result.success) return result.data;
  const mistakes = result.error.issues.map(({ path, message, ...issue }) => {
    const name = String(path[0] ?? 'environment');
    const missing = issue.code === 'invalid_type' && given[name] === undefined;
    return `${name} ${missing ? 'is required' : message}`;
  });
  throw new ConfigError([...new Set(mistakes)].join('\n'));
}

/** An empty variable counts as one that is not set. */
export function withoutEmpty(env: Environment): Environment {
  return Object.fromEntries(Object.entries(env).filter(([, value]) => value !== ''));
}

function isWebhookSecret(secret: string): boolean {
  try {
    return new Webhook(secret) instanceof Webhook;
  } catch {
    return false;
  }
}
