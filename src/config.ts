import { existsSync, readFileSync } from 'node:fs';
import { parseEnv } from 'node:util';
import { Webhook } from 'standardwebhooks';
import { z } from 'zod';

// Not int(): after it fails, zod skips the rules between settings, so their mistakes would not be reported.
const integer = (min: number, max: number) =>
  z.coerce.number().multipleOf(1, 'must be a whole number').min(min).max(max);
const perMinute = integer(0, 1_000_000); // 0 switches the limit off

/** The settings of API and workers. */
const shared = {
  DATABASE_URL: z.url({ protocol: /^postgres(ql)?$/, error: 'must be a postgres:// URL' }),
  POOL_SIZE_MAX: integer(2, 200).default(10),
  REDIS_URL: z.url({ protocol: /^rediss?$/, error: 'must be a redis:// URL' }).optional(),
  REDIS_PREFIX: z.string().min(1).max(50).default('oms'),
  HOST: z.string().default('127.0.0.1'),
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
  PASSWORD_MIN_LENGTH: integer(1, 128).default(6), // clients of the original API register with 6
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
  INTAKE_IN_FLIGHT_MAX: integer(1, 50).default(2),
  INTAKE_BATCH_SIZE_MAX: integer(1, 1000).default(500),
  INTAKE_QUEUE_MAX: integer(1, 100_000).default(5000),
  INTAKE_LOCK_TIMEOUT_MS: integer(50, 9_000).default(1000), // less than the statement timeout, 10 s
};

const retries = {
  IDEMPOTENCY_KEY_TTL_HOURS: integer(1, 8760).default(24),
};

const work = {
  WORKER_PORT: integer(0, 65_535).optional(),
  QUEUE_POOL_SIZE_MAX: integer(2, 200).default(5),
  WORKER_BATCH_SIZE: integer(1, 1000).default(500),
  WORKER_CONCURRENCY: integer(1, 50).default(3),
  WORKER_POLL_SECONDS: z.coerce.number().min(0.5).max(1).default(1),
};

const fulfilment = {
  FULFILMENT_URL: z.url({ protocol: /^https?$/, error: 'must be an http(s) URL' }).optional(),
  FULFILMENT_SECRET: z
    .string()
    .refine(isWebhookSecret, 'must be base64, with or without the prefix whsec_')
    .optional(),
  FULFILMENT_TIMEOUT_MS: integer(1, 30_000).default(10_000),
  FULFILMENT_CONCURRENCY: integer(1, 200).default(16),
};

type Fulfilment = { FULFILMENT_URL?: string | undefined; FULFILMENT_SECRET?: string | undefined };
const requestsAreSigned = [
  ({ FULFILMENT_URL, FULFILMENT_SECRET }: Fulfilment) =>
    !FULFILMENT_URL || FULFILMENT_SECRET !== undefined,
  {
    path: ['FULFILMENT_SECRET'],
    error: 'is required when FULFILMENT_URL is set',
    when: () => true, // also when there are other mistakes, so that all are reported at once
  },
] satisfies Parameters<z.ZodObject['refine']>;

const audit = {
  AUDIT_SIGNING_KEY_FILE: z.string().optional(),
};

/** The settings of an API process, named as in the environment. `.env.example` explains each. */
export const ApiConfig = z.object({
  ...shared,
  PORT: integer(0, 65_535).default(8000),
  ...auth,
  ...limits,
  ...intake,
  ...retries,
});
export type ApiConfig = z.infer<typeof ApiConfig>;

const worker = { ...shared, ...work, ...fulfilment, ...audit };

/** The settings of a worker. It gets no secret of the API. */
export const WorkerConfig = z.object(worker).refine(...requestsAreSigned);
export type WorkerConfig = z.infer<typeof WorkerConfig>;

/** The settings that API and workers share. */
export type SharedConfig = Pick<ApiConfig, keyof ApiConfig & keyof WorkerConfig>;

const databasePassword = z.string().min(8, 'must have at least 8 characters').optional();

/** The settings of migrate. The only secrets among them are DATABASE_URL and the passwords with which roles log in. */
export const MigrateConfig = z.object({
  DATABASE_URL: shared.DATABASE_URL,
  LOG_LEVEL: shared.LOG_LEVEL,
  HEARTBEAT_SECONDS: integer(10, 3600).default(10), // the minimum of pg-boss
  API_DATABASE_PASSWORD: databasePassword,
  WORKER_DATABASE_PASSWORD: databasePassword,
  DBA_DATABASE_PASSWORD: databasePassword,
});
export type MigrateConfig = z.infer<typeof MigrateConfig>;

/** The settings of `npm run audit`. Verifying evidence requires none of them. */
export const AuditConfig = z.object({
  ...audit,
  DATABASE_URL: shared.DATABASE_URL.optional(),
  AUDIT_DATABASE_URL: shared.DATABASE_URL.optional(),
});
export type AuditConfig = z.infer<typeof AuditConfig>;

/** All settings of the service: for `npm start`, which starts every process, and for tests. */
export const Config = z
  .object({ ...ApiConfig.shape, ...worker, ...MigrateConfig.shape })
  .refine(...requestsAreSigned);
export type Config = z.infer<typeof Config>;

/** The folder where `npm start` keeps its Postgres data, its secrets and its lock. */
export const StartConfig = z.object({ DATA_DIR: z.string().min(1).default('.data') });

/** Settings that are missing or wrong. The message names each mistake on a line of its own. */
export class ConfigError extends Error {
  override name = 'ConfigError';
}

export type Environment = Record<string, string | undefined>;

/** A schema whose keys are names of settings. */
type Settings = z.ZodObject;

/**
 * Reads the settings of a schema from the environment, and those missing there from the file `.env` in the working
 * directory. Keeps nothing else of the file, because the rest may be secrets of other processes.
 */
export function readEnvironment(schema: Settings): Environment {
  const file: Environment = existsSync('.env') ? parseEnv(readFileSync('.env', 'utf8')) : {};
  return settingsOf(schema, { ...file, ...process.env });
}

/** Returns the part of an environment that a schema names. */
export function settingsOf(schema: Settings, env: Environment): Environment {
  const names = Object.keys(schema.shape).filter((name) => env[name] !== undefined);
  return Object.fromEntries(names.map((name) => [name, env[name]]));
}

/** The variables that a child process inherits. It inherits no others, because they may be secrets. */
const INHERITED = [
  ['PATH', 'HOME', 'TMPDIR', 'TZ', 'LANG', 'LC_ALL', 'LD_LIBRARY_PATH'],
  ['SSL_CERT_FILE', 'SSL_CERT_DIR', 'NODE_EXTRA_CA_CERTS'],
  ['NODE_OPTIONS', 'NODE_COMPILE_CACHE', 'NODE_V8_COVERAGE'],
].flat();

/** Returns the environment of a child process, without its settings. */
export function inheritedEnvironment(): Environment {
  const names = INHERITED.filter((name) => process.env[name] !== undefined);
  return Object.fromEntries(names.map((name) => [name, process.env[name]]));
}

/** Parses the settings in an environment. An empty variable counts as not set. Throws ConfigError. */
export function loadConfig<S extends Settings>(
  schema: S,
  env: Environment = readEnvironment(schema),
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

/** Removes empty variables. */
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
