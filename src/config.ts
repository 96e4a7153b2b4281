import { Webhook } from 'standardwebhooks';
import { z } from 'zod';
import { databaseUrl } from './config/database-url.ts';

// Not int(): after it fails, zod skips the rules between settings, so their mistakes would not be reported.
const integer = (min: number, max: number) =>
  z.coerce.number().multipleOf(1, 'must be a whole number').min(min).max(max);
/** A list of entries with commas between them. */
const list = z
  .string()
  .default('')
  .transform((text) => text.split(',').flatMap((entry) => entry.trim() || []));
const perMinute = integer(0, 1_000_000); // 0 switches the limit off

/** Without a user or a password: fetch refuses a URL that has one, and the message of its error contains the URL. */
const httpUrl = z
  .url({ protocol: /^https?$/, error: 'must be an http(s) URL' })
  .refine(hasNoCredentials, 'must not contain a user or a password');

const server = {
  TRUSTED_PROXIES: list.pipe(z.array(z.union([z.ipv4(), z.ipv6(), z.cidrv4(), z.cidrv6()]))),
  CONNECTIONS_MAX: integer(1, 100_000).default(2000),
  CONNECTIONS_PER_CLIENT_MAX: integer(1, 100_000).default(1000),
  KEEP_ALIVE_SECONDS: integer(1, 3600).default(75), // longer than the 60 s of common load balancers
  REQUEST_TIMEOUT_SECONDS: integer(2, 600).default(15), // longer than the statement timeout, 10 s
};

/** The settings of an HTTP server: who may connect, and how long a request may take. */
export const ServerSettings = z.object(server);
export type ServerSettings = z.infer<typeof ServerSettings>;

/** The settings of API and workers. */
const shared = {
  DATABASE_URL: databaseUrl,
  POOL_SIZE_MAX: integer(2, 200).default(10),
  REDIS_URL: z.url({ protocol: /^rediss?$/, error: 'must be a redis:// URL' }).optional(),
  REDIS_PREFIX: z.string().min(1).max(50).default('oms'),
  METRICS_PORT: integer(0, 65_535).optional(),
  METRICS_HOST: z.string().default('127.0.0.1'),
  ...server,
  LOG_LEVEL: z.enum(['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent']).default('info'),
  SHUTDOWN_TIMEOUT_SECONDS: integer(1, 600).default(20),
};

const drain = {
  DRAIN_SECONDS: integer(0, 600).default(0),
};

const jwtSecret = z.string().min(32, 'must have at least 32 characters');

const auth = {
  JWT_SECRET: jwtSecret,
  JWT_SECRETS_ACCEPTED: list.pipe(z.array(jwtSecret)),
  JWT_KEY_FILE: z.string().optional(),
  JWT_PUBLIC_KEYS_FILE: z.string().optional(),
  ACCESS_TOKEN_TTL_SECONDS: integer(1, 86_400).default(900),
  REFRESH_TOKEN_TTL_SECONDS: integer(1, 365 * 86_400).default(7 * 86_400),
  REFRESH_GRACE_SECONDS: integer(0, 300).default(10),
  PASSWORD_MIN_LENGTH: integer(1, 128).default(6), // clients of the original API register with 6
};

const limits = {
  RATE_LIMIT_REGISTER: perMinute.default(5),
  RATE_LIMIT_LOGIN: perMinute.default(5),
  RATE_LIMIT_LOGIN_TOTAL: perMinute.default(300),
  RATE_LIMIT_REFRESH: perMinute.default(10),
  RATE_LIMIT_CREATE: perMinute.default(20),
  RATE_LIMIT_LIST: perMinute.default(30),
  RATE_LIMIT_CANCEL: perMinute.default(10),
  RATE_LIMIT_READ: perMinute.default(600),
  RATE_LIMIT_PUBLIC: perMinute.default(600),
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
  QUEUE_POOL_SIZE_MAX: integer(2, 200).default(5),
  WORKER_BATCH_SIZE: integer(1, 1000).default(500),
  WORKER_CONCURRENCY: integer(1, 50).default(3),
  WORKER_POLL_SECONDS: z.coerce.number().min(0.5).max(1).default(1),
};

const fulfilment = {
  FULFILMENT_URL: httpUrl.optional(),
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

const browsers = {
  CORS_ORIGINS: list.pipe(
    z.array(z.string().refine(isOrigin, 'must have only origins, such as https://shop.example')),
  ),
};

/** The settings of an API process, named as in the environment. `.env.example` explains each. */
export const ApiConfig = z.object({
  ...shared,
  PORT: integer(0, 65_535).default(8000),
  HOST: z.string().default('127.0.0.1'),
  ...drain,
  ...auth,
  ...browsers,
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

/** The names of all settings. */
export const SETTINGS: readonly string[] = Object.keys({
  ...Config.shape,
  ...AuditConfig.shape,
  ...StartConfig.shape,
});

function hasNoCredentials(url: string): boolean {
  const { username, password } = URL.parse(url) ?? { username: '', password: '' };
  return username === '' && password === '';
}

/** Whether a text is an origin as browsers send it: a scheme, a host, and a port unless it is the usual one. */
function isOrigin(text: string): boolean {
  return /^https?:/.test(text) && URL.canParse(text) && new URL(text).origin === text;
}

function isWebhookSecret(secret: string): boolean {
  try {
    return new Webhook(secret) instanceof Webhook;
  } catch {
    return false;
  }
}
