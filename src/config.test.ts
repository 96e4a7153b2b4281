import { readFile } from 'node:fs/promises';
import {
  ApiConfig,
  AuditConfig,
  Config,
  MigrateConfig,
  StartConfig,
  WorkerConfig,
} from './config.ts';
import { ConfigError, loadConfig } from './config/load.ts';
import { test } from '../test/support/context.ts';
import { runEntryPoint } from '../test/support/entry-points.ts';
import { temporaryFolder } from '../test/support/processes.ts';

const REQUIRED = {
  DATABASE_URL: 'postgres://localhost/orders',
  JWT_SECRET: 'a-secret-of-at-least-32-characters',
};

test('a setting that is not set has its documented default', (t) => {
  t.like(loadConfig(Config, REQUIRED), {
    ...REQUIRED,
    REDIS_URL: undefined,
    HOST: '127.0.0.1',
    PORT: 8000,
    TRUSTED_PROXIES: [],
    ACCESS_TOKEN_TTL_SECONDS: 15 * 60,
    REFRESH_TOKEN_TTL_SECONDS: 7 * 86_400,
    PASSWORD_MIN_LENGTH: 6,
    RATE_LIMIT_REGISTER: 5,
    RATE_LIMIT_LOGIN: 5,
    RATE_LIMIT_LOGIN_TOTAL: 300,
    RATE_LIMIT_REFRESH: 10,
    RATE_LIMIT_CREATE: 20,
    RATE_LIMIT_LIST: 30,
    RATE_LIMIT_CANCEL: 10,
    RATE_LIMIT_READ: 600,
    RATE_LIMIT_PUBLIC: 600,
    FULFILMENT_URL: undefined,
    SHUTDOWN_TIMEOUT_SECONDS: 20,
  });
});

test('all mistakes are reported at once, each with the name of its setting', (t) => {
  const mistakes = mistakesIn({
    JWT_SECRET: 'short',
    REDIS_URL: 'http://localhost',
    PORT: '65536',
    POOL_SIZE_MAX: 'many',
    LOG_LEVEL: 'loud',
    TRUSTED_PROXIES: '127.0.0.1, proxy.internal',
    RATE_LIMIT_LOGIN: '-1',
    PASSWORD_MIN_LENGTH: '7.5',
    FULFILMENT_URL: 'ftp://localhost',
  });

  t.deepEqual(Object.keys(mistakes).sort(), [
    'DATABASE_URL',
    'FULFILMENT_SECRET',
    'FULFILMENT_URL',
    'JWT_SECRET',
    'LOG_LEVEL',
    'PASSWORD_MIN_LENGTH',
    'POOL_SIZE_MAX',
    'PORT',
    'RATE_LIMIT_LOGIN',
    'REDIS_URL',
    'TRUSTED_PROXIES',
  ]);
  t.is(mistakes.DATABASE_URL, 'is required');
  t.is(mistakes.JWT_SECRET, 'must have at least 32 characters');
  t.is(mistakes.REDIS_URL, 'must be a redis:// URL');
  t.is(mistakes.PASSWORD_MIN_LENGTH, 'must be a whole number');
});

test('no message contains a value, because it may be a secret', (t) => {
  const secret = 'hunter2-hunter2';

  const error = t.throws(
    () =>
      loadConfig(Config, {
        DATABASE_URL: `mysql://u:${secret}@localhost/orders`,
        REDIS_URL: `amqp://u:${secret}@localhost`,
        JWT_SECRET: secret,
        FULFILMENT_SECRET: `${secret}!`,
      }),
    { instanceOf: ConfigError },
  );

  t.false(error.message.includes(secret));
  t.is(error.message.split('\n').length, 4);
});

test('an empty variable counts as not set', (t) => {
  const config = loadConfig(Config, { ...REQUIRED, PORT: '', REDIS_URL: '', TRUSTED_PROXIES: '' });

  t.is(config.PORT, 8000);
  t.is(config.REDIS_URL, undefined);
  t.deepEqual(config.TRUSTED_PROXIES, []);
  t.is(mistakesIn({ ...REQUIRED, JWT_SECRET: '' }).JWT_SECRET, 'is required');
});

test('trusted proxies are a list of addresses and ranges', (t) => {
  const TRUSTED_PROXIES = ' 10.0.0.0/8,127.0.0.1 , ::1,fd00::/8,';

  const config = loadConfig(Config, { ...REQUIRED, TRUSTED_PROXIES });

  t.deepEqual(config.TRUSTED_PROXIES, ['10.0.0.0/8', '127.0.0.1', '::1', 'fd00::/8']);
  for (const wrong of ['proxy', '10.0.0.0/33', '10.0.0', '*', 'true', '1']) {
    const mistakes = mistakesIn({ ...REQUIRED, TRUSTED_PROXIES: wrong });
    t.deepEqual(Object.keys(mistakes), ['TRUSTED_PROXIES'], wrong);
  }
});

test('a process without its required settings names them in one line, and exits with code 78', async (t) => {
  const cwd = temporaryFolder(t);

  for (const [entry, missing] of [
    ['api.ts', 'DATABASE_URL is required; JWT_SECRET is required'],
    ['worker.ts', 'DATABASE_URL is required'],
    ['migrate.ts', 'DATABASE_URL is required'],
  ] as const) {
    const { code, stdout, stderr } = await runEntryPoint(entry, cwd, {});
    t.is(code, 78, entry);
    t.is(stderr, `Configuration: ${missing}\n`, entry);
    t.is(stdout, '', entry);
  }
});

test('no process has a setting that only another process needs', (t) => {
  const ofApi = Object.keys(ApiConfig.shape);
  const ofWorker = Object.keys(WorkerConfig.shape);

  t.deepEqual(ofApi.filter((name) => ofWorker.includes(name)).sort(), [
    'CONNECTIONS_MAX',
    'CONNECTIONS_PER_CLIENT_MAX',
    'DATABASE_URL',
    'KEEP_ALIVE_SECONDS',
    'LOG_LEVEL',
    'METRICS_HOST',
    'METRICS_PORT',
    'POOL_SIZE_MAX',
    'REDIS_PREFIX',
    'REDIS_URL',
    'REQUEST_TIMEOUT_SECONDS',
    'SHUTDOWN_TIMEOUT_SECONDS',
    'TRUSTED_PROXIES',
  ]);
  t.true(ofApi.includes('JWT_SECRET'));
  t.true(ofWorker.includes('FULFILMENT_SECRET'));
  t.true(ofWorker.includes('AUDIT_SIGNING_KEY_FILE'));
  t.deepEqual(Object.keys(MigrateConfig.shape).sort(), [
    'API_DATABASE_PASSWORD',
    'DATABASE_URL',
    'DBA_DATABASE_PASSWORD',
    'HEARTBEAT_SECONDS',
    'LOG_LEVEL',
    'WORKER_DATABASE_PASSWORD',
  ]);
});

test('.env.example names every setting once, with its default, and nothing else', async (t) => {
  const example = await readFile(new URL('../.env.example', import.meta.url), 'utf8');

  const lines = [...example.matchAll(/^#? ?([A-Z][A-Z0-9_]+)=(.*)$/gm)];
  const named = new Map(lines.map(([, name = '', value = '']) => [name, value]));

  const schemas = [ApiConfig, WorkerConfig, MigrateConfig, StartConfig, AuditConfig];
  const schema = Object.assign({}, ...schemas.map(({ shape }) => shape));
  t.deepEqual(lines.map(([, name = '']) => name).sort(), Object.keys(schema).sort(), 'each once');
  const defaults = { ...loadConfig(Config, REQUIRED), ...loadConfig(StartConfig, {}) };
  for (const [name, value] of Object.entries(defaults)) {
    if (name in REQUIRED || name === 'TRUSTED_PROXIES' || value === undefined) continue;
    t.is(named.get(name), String(value), name);
  }
});

/** The mistakes in these settings, by the name of the setting. */
function mistakesIn(env: Record<string, string>): Record<string, string> {
  try {
    loadConfig(Config, env);
    return {};
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    const lines = error.message.split('\n').map((line) => line.split(/ (.*)/));
    return Object.fromEntries(lines.map(([name = '', message = '']) => [name, message]));
  }
}
