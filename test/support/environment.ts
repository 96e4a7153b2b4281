/*
 * The environment variables of a test run, read and set here only.
 *
 * TEST_DATABASE_URL  the Postgres to test against, as a superuser; unset: the test command starts one
 * TEST_REDIS_URL     the Redis to test against; unset: the test command starts one
 * TEST_TEMPLATE      the migrated database that each test file copies; set by the test command
 *
 * A command that starts test servers passes them on with `passOn`. The test files inherit the variables.
 */
import { join } from 'node:path';

type TestRun = { databaseUrl: string; redisUrl: string; template: string };

/** The servers that the caller of the test command has named. */
export function namedServers(): Partial<Pick<TestRun, 'databaseUrl' | 'redisUrl'>> {
  const { TEST_DATABASE_URL: databaseUrl, TEST_REDIS_URL: redisUrl } = process.env;
  return { ...(databaseUrl && { databaseUrl }), ...(redisUrl && { redisUrl }) };
}

/** Passes the servers and the template of this run on to this process and the processes that it starts. */
export function passOn({ databaseUrl, redisUrl, template }: TestRun): void {
  process.env.TEST_DATABASE_URL = databaseUrl;
  process.env.TEST_REDIS_URL = redisUrl;
  process.env.TEST_TEMPLATE = template;
}

/** The URL of the Postgres under test, as a superuser. */
export function testDatabaseUrl(): string {
  return required('TEST_DATABASE_URL');
}

/** The URL of the Redis under test. */
export function testRedisUrl(): string {
  return required('TEST_REDIS_URL');
}

/** The name of the migrated database that each test file copies. */
export function templateName(): string {
  return required('TEST_TEMPLATE');
}

/** Keeps compiled modules on disk: every test file, and every process that one starts, loads the same modules. */
export function cacheCompiledModules(): void {
  process.env.NODE_COMPILE_CACHE ??= join(process.cwd(), 'node_modules/.cache/node');
}

function required(name: string): string {
  const value = process.env[name];
  if (!value) throw new Error(`${name} is not set: run the tests with npm test`);
  return value;
}
