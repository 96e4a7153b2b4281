/*
 * `npm start`: everything on one machine, with nothing to install or set up beforehand. Settings that
 * are given win: with DATABASE_URL or REDIS_URL set, that server is used and none is started.
 */
import { mkdirSync } from 'node:fs';
import { createServer } from 'node:net';
import { pino } from 'pino';
import pretty from 'pino-pretty';
import { newSigningKey } from './audit/keys.ts';
import {
  ApiConfig,
  Config,
  inheritedEnvironment,
  loadConfig,
  readEnvironment,
  settingsOf,
  StartConfig,
  WorkerConfig,
  withoutEmpty,
  type Environment,
} from './config.ts';
import { takeDataDir, type DataDir } from './local/data-dir.ts';
import { givenPasswords, loginUrl, passwordsToSet, type Passwords } from './db/roles.ts';
import { ensureDatabase, servicePasswords, startPostgresIn } from './local/postgres.ts';
import { findRedis, startRedis } from './local/redis.ts';
import { freePort } from './local/server-process.ts';
import { listen } from './http/server.ts';
import { migrate } from './migrate.ts';
import { exitOnFailure, explain, stopOnSignal } from './process.ts';
import { createSupervisor } from './local/supervisor.ts';
import { welcome } from './local/welcome.ts';

const DATABASE = 'orders';

type Stop = () => Promise<void> | void;

/** What has been started, in the order in which it was: stopped in reverse. */
const stops: Stop[] = [];

async function stopAll(): Promise<void> {
  for (let stop = stops.pop(); stop; stop = stops.pop()) await stop();
}

function say(line: string): void {
  process.stderr.write(`${line}\n`);
}

/** Stops between two steps when interrupted, so that there is never half a step to undo. */
async function start(interrupted: AbortSignal): Promise<void> {
  const { DATA_DIR } = loadConfig(StartConfig);
  const given = readEnvironment(Config);
  const dataDir = takeDataDir(DATA_DIR);
  stops.push(() => dataDir.release());

  // Mistakes are told before anything is started; what is missing is what we are about to make.
  loadConfig(Config, {
    DATABASE_URL: 'postgres://embedded',
    JWT_SECRET: 'x'.repeat(32),
    ...withoutEmpty(given),
  });

  const env: Environment = {
    ...given,
    DATABASE_URL: given.DATABASE_URL || (await ownPostgres(dataDir)), // as a user who may migrate
    REDIS_URL: given.REDIS_URL || (await ownRedis(dataDir)),
    JWT_SECRET: given.JWT_SECRET || dataDir.secret('jwt-secret'),
    AUDIT_SIGNING_KEY_FILE: given.AUDIT_SIGNING_KEY_FILE || signingKeyFile(dataDir),
    WORKER_PORT: given.WORKER_PORT || String(await freePort()),
  };
  const config = loadConfig(Config, env);
  await requireFreePort(config);

  interrupted.throwIfAborted();
  say('Bringing the database up to date …');
  const { oms_dba, ...services } = servicePasswords(dataDir);
  const isOwn = !given.DATABASE_URL;
  const passwords = { ...services, ...(isOwn && { oms_dba }), ...givenPasswords(config) };
  const toSet = isOwn
    ? passwords
    : await passwordsToSet(config.DATABASE_URL, services, givenPasswords(config));
  await migrate(config, pino({ name: 'migrate', level: 'warn' }), toSet);
  interrupted.throwIfAborted();
  await startProcesses(env, config, passwords);
  interrupted.throwIfAborted();
  const dbaUrl = isOwn
    ? loginUrl(config.DATABASE_URL, 'oms_dba', passwords.oms_dba ?? oms_dba)
    : undefined;
  process.stdout.write(welcome(config, dbaUrl));
}

function signingKeyFile(dataDir: DataDir): string {
  dataDir.secret('audit-key.pem', newSigningKey);
  return dataDir.path('audit-key.pem');
}

async function ownPostgres(dataDir: DataDir): Promise<string> {
  say('Starting Postgres …');
  const postgres = await startPostgresIn(dataDir);
  stops.push(postgres.stop);
  postgres.onCrash(() => void giveUp('Postgres ended unexpectedly; stopping the rest.'));
  await ensureDatabase(postgres, DATABASE);
  return postgres.url(DATABASE);
}

async function ownRedis(dataDir: DataDir): Promise<string | undefined> {
  const program = findRedis();
  if (!program) {
    say('No REDIS_URL and no redis-server on the PATH: running degraded, without Redis.');
    return undefined;
  }
  const dir = dataDir.path('redis');
  mkdirSync(dir, { recursive: true });
  return keepRedis(program, dir);
}

/** Redis holds nothing that must survive: one that dies is started again, empty, on the same port. */
async function keepRedis(program: string, dir: string, port?: number): Promise<string> {
  const redis = await startRedis(program, dir, port);
  stops.push(redis.stop);
  redis.onCrash(() => {
    say('Redis ended unexpectedly; starting it again');
    void keepRedis(program, dir, redis.port).catch((error: unknown) => say(explain(error)));
  });
  return redis.url;
}

async function giveUp(line: string): Promise<void> {
  say(line);
  await stopAll();
  process.exit(1);
}

async function startProcesses(
  env: Environment,
  config: Config,
  passwords: Required<Pick<Passwords, 'oms_api' | 'oms_worker'>>,
): Promise<void> {
  const log = process.stdout.isTTY ? pretty({ ignore: 'hostname,pid' }) : process.stdout;
  const supervisor = createSupervisor(log, say, {
    readyMs: 60_000,
    stopMs: config.SHUTDOWN_TIMEOUT_SECONDS * 1000 + 5_000, // after the child's own timeout
  });
  stops.push(supervisor.stop);
  say('Starting API and worker …');
  for (const [name, role, schema] of [
    ['worker', 'oms_worker', WorkerConfig],
    ['api', 'oms_api', ApiConfig],
  ] as const) {
    const DATABASE_URL = loginUrl(config.DATABASE_URL, role, passwords[role]);
    const module = new URL(`${name}.ts`, import.meta.url);
    const settings = settingsOf(schema, { ...env, DATABASE_URL });
    await supervisor.start(name, module, { ...inheritedEnvironment(), ...settings });
  }
}

/** Asked before anything is migrated; the API would find out too, but last. */
async function requireFreePort({ PORT, HOST }: Config): Promise<void> {
  const probe = createServer();
  await listen(probe, PORT, HOST);
  await new Promise<void>((resolve) => probe.close(() => resolve()));
}

await exitOnFailure(async () => {
  const interrupt = new AbortController();
  const started = start(interrupt.signal);
  // Also while starting: Ctrl-C in the middle of initdb must leave nothing running.
  stopOnSignal(async () => {
    interrupt.abort();
    await started.catch(() => undefined);
    await stopAll();
  }, 60);
  try {
    await started;
  } catch (error) {
    if (interrupt.signal.aborted) return; // the line above stops everything and exits
    await stopAll();
    throw error;
  }
});
