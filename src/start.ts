/*
 * `npm start`: runs everything on one machine. Nothing has to be installed or set up before. It starts no Postgres when
 * DATABASE_URL is set, and no Redis when REDIS_URL is set.
 */
import { newSigningKey } from './audit/keys.ts';
import { Config, StartConfig } from './config.ts';
import { loadConfig, readEnvironment, withoutEmpty, withoutPgVariables } from './config/load.ts';
import type { Environment } from './config/load.ts';
import { givenPasswords, passwordsToSet } from './db/role-passwords.ts';
import { loginUrl } from './db/roles.ts';
import { takeDataDir, type DataDir } from './local/data-dir.ts';
import { requireFreePort } from './local/free-port.ts';
import { metricsPorts } from './local/metrics-ports.ts';
import { startOwnPostgres, startOwnRedis } from './local/own-servers.ts';
import { servicePasswords } from './local/postgres.ts';
import { startServices } from './local/services.ts';
import { createStartedParts, type StartedParts } from './local/started-parts.ts';
import { welcome } from './local/welcome.ts';
import { migrate, migrateLog } from './migrate.ts';
import { exitOnFailure, stopOnSignal } from './process.ts';

const STOP_TIMEOUT_SECONDS = 60;

function print(line: string): void {
  process.stderr.write(`${line}\n`);
}

/** Starts everything in order. An interrupt ends it between two steps, so each step is either complete or not begun. */
async function start(parts: StartedParts, interrupted: AbortSignal): Promise<void> {
  const read = readEnvironment(Config.safeExtend(StartConfig.shape));
  const { DATA_DIR } = loadConfig(StartConfig, read);
  const given = read.DATABASE_URL ? read : withoutPgVariables(read);
  const dataDir = takeDataDir(DATA_DIR);
  parts.add(dataDir.release);
  refuseMistakes(given);

  const env = await completeSettings(given, dataDir, parts);
  const config = loadConfig(Config, env);
  await requireFreePort(config.PORT, config.HOST); // checked before anything is migrated

  interrupted.throwIfAborted();
  print('Bringing the database up to date …');
  const isOwnServer = !given.DATABASE_URL;
  const passwords = await migrateDatabase(config, dataDir, isOwnServer);

  interrupted.throwIfAborted();
  const ports = await metricsPorts(config);
  await startServices({ env, config, passwords, ports }, parts, print);

  interrupted.throwIfAborted();
  const dbaUrl = isOwnServer
    ? loginUrl(config.DATABASE_URL, 'oms_dba', passwords.oms_dba)
    : undefined;
  process.stdout.write(welcome(config, ports, dbaUrl));
}

/** Throws a ConfigError about wrong settings before anything is started. Missing ones are completed later. */
function refuseMistakes(given: Environment): void {
  loadConfig(Config, {
    DATABASE_URL: 'postgres://embedded',
    JWT_SECRET: 'x'.repeat(32),
    ...withoutEmpty(given),
  });
}

/** Starts the servers that the settings do not name, and makes the missing secrets. */
async function completeSettings(
  given: Environment,
  dataDir: DataDir,
  parts: StartedParts,
): Promise<Environment> {
  return {
    ...given,
    DATABASE_URL: given.DATABASE_URL || (await startOwnPostgres(dataDir, parts, print)),
    REDIS_URL: given.REDIS_URL || (await startOwnRedis(dataDir, parts, print)),
    JWT_SECRET: given.JWT_SECRET || dataDir.secret('jwt-secret'),
    AUDIT_SIGNING_KEY_FILE: given.AUDIT_SIGNING_KEY_FILE || signingKeyFile(dataDir),
  };
}

function signingKeyFile(dataDir: DataDir): string {
  dataDir.secret('audit-key.pem', newSigningKey);
  return dataDir.path('audit-key.pem');
}

/** Migrates the database, and returns the passwords with which the roles can log in afterwards. */
async function migrateDatabase(config: Config, dataDir: DataDir, isOwnServer: boolean) {
  const given = givenPasswords(config);
  const { oms_dba, ...services } = servicePasswords(dataDir);
  const passwords = { ...services, oms_dba, ...given };
  const toSet = isOwnServer
    ? passwords
    : await passwordsToSet(config.DATABASE_URL, services, given);
  await migrate(config, migrateLog('warn'), toSet);
  return passwords;
}

await exitOnFailure(async () => {
  const interrupt = new AbortController();
  const parts = createStartedParts();
  const started = start(parts, interrupt.signal);
  // Works during the start too: Ctrl-C while initdb runs leaves no process behind.
  stopOnSignal(async () => {
    interrupt.abort();
    await started.catch(() => undefined);
    await parts.stop();
  }, STOP_TIMEOUT_SECONDS);
  try {
    await started;
  } catch (error) {
    if (interrupt.signal.aborted) return; // stopOnSignal stops everything and exits
    await parts.stop();
    throw error;
  }
});
