import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { pino } from 'pino';
import { Client } from 'pg';
import { loadConfig, MigrateConfig, type Environment } from '../src/config.ts';
import { serviceUrl } from '../src/db/roles.ts';
import { takeDataDir } from '../src/embedded/data-dir.ts';
import { ensureDatabase, servicePasswords, startPostgresIn } from '../src/embedded/postgres.ts';
import { startRedis } from '../src/embedded/redis.ts';
import { migrate } from '../src/migrate.ts';
import { requireRedis } from '../src/testing/servers.ts';
import { NO_LIMITS } from '../src/testing/template.ts';
import { costOf, costOfTree, type Cost } from './cost.ts';
import { SERVICE_FLAGS, startProcess, type Process } from './process.ts';

const JWT_SECRET = 'a-secret-for-measuring-and-nothing-else';

/** The only setting that is not Postgres' own default: several contestants keep their pools open. */
const SETTINGS = ['max_connections=300'];

/** A migrated database of our service, and the environment for its processes, each in its own role. */
export type Service = {
  databaseUrl: string;
  env: (role: 'api' | 'worker') => Environment;
};

/** Real servers for one run, all on loopback: Postgres with fsync on, and Redis. */
export type Machine = {
  /** Of the superuser; creates the database when it is missing. */
  databaseUrl: (name: string) => Promise<string>;
  redisUrl: string;
  redisVersion: () => Promise<string>;
  /** Kills Redis, and starts it again with nothing in it when the work is done. */
  withoutRedis: (work: () => Promise<void>) => Promise<void>;
  /** Our service's database of that name, 'orders' unless another is asked for; migrated the first time. */
  service: (name?: string) => Promise<Service>;
  /** Starts a module of the repository; see startProcess. Our own modules get our own flags of Node. */
  start: (
    name: string,
    module: string,
    env: Environment,
    args?: string[],
    nodeFlags?: string[],
  ) => Promise<Process>;
  /** Runs a statement as the superuser in a database, 'postgres' unless another is named. */
  query: <Row extends object>(statement: string, database?: string) => Promise<Row[]>;
  /** Writes dirty pages out, so that they are not the bill of whoever is measured next. */
  checkpoint: () => Promise<void>;
  /** CPU seconds and memory of everything so far, by name; processes of one name are summed. */
  costs: () => Map<string, Cost>;
  close: () => Promise<void>;
};

/** Starts the servers in a temporary folder. What was started is stopped again when something fails. */
export async function openMachine(): Promise<Machine> {
  const dir = mkdtempSync(join(tmpdir(), 'oms-bench-'));
  const stops: (() => Promise<void> | void)[] = [
    () => rmSync(dir, { recursive: true, force: true }),
  ];
  async function close(): Promise<void> {
    for (let stop = stops.pop(); stop; stop = stops.pop()) await stop();
  }
  try {
    return await openIn(dir, stops, close);
  } catch (error) {
    await close();
    throw error;
  }
}

type Stops = (() => Promise<void> | void)[];

async function openIn(dir: string, stops: Stops, close: Machine['close']): Promise<Machine> {
  const dataDir = takeDataDir(dir);
  const postgres = await startPostgresIn(dataDir, SETTINGS);
  stops.push(postgres.stop);
  mkdirSync(dataDir.path('redis'));
  const openRedis = (port?: number) => startRedis(requireRedis(), dataDir.path('redis'), port);
  let redis = await openRedis();
  stops.push(() => redis.stop());
  const passwords = servicePasswords(dataDir);
  const ended = new Map<string, Cost>();
  let endedRedis: Cost | undefined;
  const running = new Set<Process>();
  const services = new Map<string, Promise<Service>>();

  async function query<Row extends object>(statement: string, database = 'postgres') {
    const client = new Client(postgres.url(database));
    await client.connect();
    try {
      return (await client.query<Row>(statement)).rows;
    } finally {
      await client.end();
    }
  }

  async function openService(name: string): Promise<Service> {
    await ensureDatabase(postgres, name);
    const url = postgres.url(name);
    const config = loadConfig({ DATABASE_URL: url }, MigrateConfig);
    await migrate(config, pino({ level: 'silent' }), passwords);
    const env = (role: 'api' | 'worker') => ({
      DATABASE_URL: serviceUrl(url, `oms_${role}`, passwords[`oms_${role}`]),
      REDIS_URL: redis.url,
      REDIS_PREFIX: name,
      JWT_SECRET,
      ACCESS_TOKEN_TTL_SECONDS: '86400',
      LOG_LEVEL: 'warn',
      ...NO_LIMITS,
    });
    return { databaseUrl: url, env };
  }

  return {
    redisUrl: redis.url,
    redisVersion: () => versionOf(redis.url),
    async withoutRedis(work) {
      endedRedis = sum(endedRedis, costOfTree(redis.child.pid ?? 0));
      await redis.stop();
      try {
        await work();
      } finally {
        redis = await openRedis(redis.port);
      }
    },
    async databaseUrl(name) {
      await ensureDatabase(postgres, name);
      return postgres.url(name);
    },
    service(name = 'orders') {
      const opened = services.get(name) ?? openService(name);
      services.set(name, opened);
      return opened;
    },
    async start(name, module, env, args = [], nodeFlags) {
      const flags = nodeFlags ?? (module.startsWith('src/') ? SERVICE_FLAGS : []);
      const logFile = join(dir, `${name.replace(/[^\w-]+/g, '-')}.log`);
      const onEnd = (cost: Cost) => {
        running.delete(started);
        ended.set(name, sum(ended.get(name), cost));
      };
      const command = { name, module, env, args, nodeFlags: flags, cwd: dir, logFile, onEnd };
      const started = await startProcess(command);
      running.add(started);
      stops.push(started.stop);
      return started;
    },
    query,
    checkpoint: async () => void (await query('CHECKPOINT')),
    costs() {
      const costs = new Map(ended);
      for (const each of running) {
        costs.set(each.name, sum(costs.get(each.name), costOf(each.pid)));
      }
      costs.set('Postgres', costOfTree(postgres.child.pid ?? 0));
      costs.set('Redis', sum(endedRedis, costOfTree(redis.child.pid ?? 0)));
      return costs;
    },
    close,
  };
}

/** CPU adds up; of memory, the most that one of them had. */
function sum(one: Cost | undefined, other: Cost): Cost {
  return {
    cpuSeconds: (one?.cpuSeconds ?? 0) + other.cpuSeconds,
    memoryMb: Math.max(one?.memoryMb ?? 0, other.memoryMb),
  };
}

async function versionOf(redisUrl: string): Promise<string> {
  const redis = new Redis(redisUrl);
  try {
    return /redis_version:(\S+)/.exec(await redis.info('server'))?.[1] ?? 'unknown';
  } finally {
    redis.disconnect();
  }
}
