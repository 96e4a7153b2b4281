import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { pino } from 'pino';
import { MigrateConfig } from '../src/config.ts';
import { loadConfig, type Environment } from '../src/config/load.ts';
import { serviceUrl } from '../src/db/roles.ts';
import { takeDataDir, type DataDir } from '../src/local/data-dir.ts';
import { servicePasswords } from '../src/local/postgres.ts';
import { startRedis } from '../src/local/redis.ts';
import { freePort } from '../src/local/free-port.ts';
import { migrate } from '../src/migrate.ts';
import {
  startRestartablePostgres,
  type RestartablePostgres,
} from '../test/support/restartable-postgres.ts';
import { requireRedis } from '../test/support/servers.ts';
import { NO_LIMITS } from '../test/support/template.ts';
import { keepProcess, type KeptProcess } from './kept-process.ts';
import { FULFILMENT_SECRET, openFulfilment, type Fulfilment } from './fulfilment.ts';
import { openPostgresProxy, type PostgresProxy } from './postgres-proxy.ts';
import { APIS, type WorkerKind } from './schedule.ts';

const DATABASE = 'orders';

/** A complete service on loopback: Postgres with fsync on, Redis, API processes and workers. */
export type Machine = {
  apis: (KeptProcess & { origin: string })[];
  workers: (KeptProcess & { kind: WorkerKind })[];
  postgres: RestartablePostgres;
  /** Between the processes and Postgres. */
  proxy: PostgresProxy;
  fulfilment: Fulfilment;
  redis: { restart: (downMs: number) => Promise<void> };
  /** Processes that ended although the run did not end them. */
  unexpectedEnds: string[];
  close: () => Promise<void>;
};

/** Starts everything in a temporary folder. If one part does not start, stops the parts that did. */
export async function openMachine(
  workerKinds: WorkerKind[],
  logs: string | undefined,
): Promise<Machine> {
  const dir = mkdtempSync(join(tmpdir(), 'oms-chaos-'));
  const stops: (Stop | (() => void))[] = [() => rmSync(dir, { recursive: true, force: true })];
  async function close(): Promise<void> {
    for (let stop = stops.pop(); stop; stop = stops.pop()) await stop();
  }
  try {
    const dataDir = takeDataDir(dir);
    const postgres = await startRestartablePostgres(dataDir, DATABASE);
    stops.push(postgres.stop);
    const proxy = await openPostgresProxy(postgres.url);
    stops.push(proxy.close);
    const redis = await openRedis(dataDir);
    stops.push(redis.stop);
    const fulfilment = await openFulfilment();
    stops.push(fulfilment.close);
    const passwords = servicePasswords(dataDir);
    const migrateConfig = loadConfig(MigrateConfig, { DATABASE_URL: postgres.url });
    await migrate(migrateConfig, pino({ level: 'silent' }), passwords);

    const surroundings = { dir, logs, postgres, proxy, redis, fulfilment, passwords };
    const processes = await startProcesses(surroundings, workerKinds, (stop) => stops.push(stop));
    return { ...processes, postgres, proxy, fulfilment, redis, close };
  } catch (error) {
    await close();
    throw error;
  }
}

/** The servers that the processes connect to, and the folders that they use. */
type Surroundings = Pick<Machine, 'postgres' | 'proxy' | 'fulfilment'> & {
  dir: string;
  logs: string | undefined;
  redis: { url: string };
  passwords: ReturnType<typeof servicePasswords>;
};

type Stop = () => Promise<void>;

/** Starts the API processes and the workers, and waits until all are ready. */
async function startProcesses(
  surroundings: Surroundings,
  workerKinds: WorkerKind[],
  onStarted: (stop: Stop) => void,
): Promise<Pick<Machine, 'apis' | 'workers' | 'unexpectedEnds'>> {
  const unexpectedEnds: string[] = [];
  if (surroundings.logs) mkdirSync(surroundings.logs, { recursive: true });
  const keep = (module: 'api' | 'worker', number: number, settings: Environment) => {
    const kept = startKept(surroundings, module, number, settings, (what) =>
      unexpectedEnds.push(what),
    );
    onStarted(kept.end);
    return kept;
  };
  const apis = [];
  for (let number = 0; number < APIS; number += 1) {
    const port = await freePort();
    const origin = `http://127.0.0.1:${port}`;
    apis.push({ ...keep('api', number, { PORT: String(port) }), origin });
  }
  const fulfilling = { FULFILMENT_URL: surroundings.fulfilment.url, FULFILMENT_SECRET };
  const workers = workerKinds.map((kind, number) => ({
    ...keep('worker', number, kind === 'fulfiller' ? fulfilling : {}),
    kind,
  }));
  await Promise.all([...apis, ...workers].map(({ ready }) => ready()));
  return { apis, workers, unexpectedEnds };
}

function startKept(
  { dir, logs, postgres, proxy, redis, passwords }: Surroundings,
  module: 'api' | 'worker',
  number: number,
  settings: Environment,
  onUnexpectedEnd: (what: string) => void,
): KeptProcess {
  const name = `${module}-${number}`;
  const role = `oms_${module}` as const;
  const url = new URL(serviceUrl(postgres.url, role, passwords[role]));
  url.port = String(proxy.port);
  return keepProcess({
    name,
    module: new URL(`../src/${module}.ts`, import.meta.url),
    cwd: dir, // has no .env
    env: { ...environment(url.href, redis.url), ...settings },
    logFile: logs && join(logs, `${name}.log`),
    onUnexpectedEnd,
  });
}

function environment(databaseUrl: string, redisUrl: string): Environment {
  return {
    DATABASE_URL: databaseUrl,
    REDIS_URL: redisUrl,
    JWT_SECRET: 'a-secret-for-chaos-and-nothing-else',
    ACCESS_TOKEN_TTL_SECONDS: '86400',
    ...NO_LIMITS,
  };
}

async function openRedis(dataDir: DataDir) {
  const program = requireRedis();
  const dir = dataDir.path('redis');
  mkdirSync(dir);
  let current = await startRedis(program, dir);
  let restarted: Promise<void> = Promise.resolve();

  /** Kills Redis, and starts it again without its data. */
  function restart(downMs: number): Promise<void> {
    restarted = restarted.then(async () => {
      const exited = once(current.child, 'exit');
      current.child.kill('SIGKILL');
      await exited;
      await setTimeout(downMs);
      current = await startRedis(program, dir, current.port);
    });
    return restarted;
  }
  return { url: current.url, restart, stop: () => restarted.then(() => current.stop()) };
}
