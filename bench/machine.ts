import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import type { Environment } from '../src/config/load.ts';
import { takeDataDir, type DataDir } from '../src/local/data-dir.ts';
import { servicePasswords, startPostgresIn } from '../src/local/postgres.ts';
import { startRedis } from '../src/local/redis.ts';
import { interruptSignal } from '../src/process.ts';
import { requireRedis } from '../test/support/servers.ts';
import { costOf, costOfTree, type Cost } from './cost.ts';
import { openDatabases, type Databases } from './databases.ts';
import { SERVICE_FLAGS, startProcess, type Process } from './process.ts';

/** All other settings but the addresses have their defaults. Several contestants keep their pools open. */
const SETTINGS = ['max_connections=300'];

/** Real servers for one run, all on loopback: Postgres with fsync on, and Redis. */
export type Machine = Databases & {
  redisUrl: string;
  redisVersion: () => Promise<string>;
  /** Stops Redis during the work, and starts it again afterwards, empty. */
  withoutRedis: (work: () => Promise<void>) => Promise<void>;
  /**
   * Starts a module of the repository; see startProcess. Modules in src/ get the Node flags of the service by default.
   */
  start: (name: string, module: string, env: Environment, nodeFlags?: string[]) => Promise<Process>;
  /** CPU seconds and memory of all processes so far, by name. Processes with the same name are added up. */
  costs: () => Map<string, Cost>;
  close: () => Promise<void>;
};

type Stops = (() => Promise<void> | void)[];

/**
 * Opens a machine for `use`, and closes it afterwards, also after an error or a signal. On SIGINT, SIGTERM and SIGHUP
 * it rejects at once. `interrupted` is aborted then, so that `use` starts nothing more. `settings` are further
 * settings of Postgres, as `name=value`.
 */
export async function withMachine<Result>(
  use: (machine: Machine, interrupted: AbortSignal) => Promise<Result>,
  settings: string[] = [],
): Promise<Result> {
  const interrupted = interruptSignal();
  const { promise: ended, reject } = Promise.withResolvers<never>();
  ended.catch(() => undefined); // also handled by the race below
  interrupted.addEventListener('abort', () => reject(interrupted.reason));
  const machine = await openMachine(settings);
  try {
    return await Promise.race([use(machine, interrupted), ended]);
  } finally {
    await machine.close();
  }
}

/** Starts the servers in a temporary folder. If one does not start, stops the others. */
async function openMachine(settings: string[]): Promise<Machine> {
  const dir = mkdtempSync(join(tmpdir(), 'oms-bench-'));
  const stops: Stops = [() => rmSync(dir, { recursive: true, force: true })];
  async function close(): Promise<void> {
    for (let stop = stops.pop(); stop; stop = stops.pop()) await stop();
  }
  try {
    const dataDir = takeDataDir(dir);
    const postgres = await startPostgresIn(dataDir, [...SETTINGS, ...settings]);
    stops.push(postgres.stop);
    const redis = await openRedis(dataDir, stops);
    const processes = createProcesses(dir, stops);
    return {
      ...openDatabases(postgres, redis.url, servicePasswords(dataDir)),
      redisUrl: redis.url,
      redisVersion: () => versionOf(redis.url),
      withoutRedis: redis.without,
      start: processes.start,
      costs: () =>
        processes
          .costs()
          .set('Postgres', costOfTree(postgres.child.pid ?? 0))
          .set('Redis', redis.cost()),
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

/** A Redis that can be stopped for a while. */
async function openRedis(dataDir: DataDir, stops: Stops) {
  const program = requireRedis();
  const dir = dataDir.path('redis');
  mkdirSync(dir);
  let current = await startRedis(program, dir);
  stops.push(() => current.stop());
  let ended: Cost | undefined;
  const cost = () => sum(ended, costOfTree(current.child.pid ?? 0));

  async function without(work: () => Promise<void>): Promise<void> {
    ended = cost();
    await current.stop();
    try {
      await work();
    } finally {
      current = await startRedis(program, dir, current.port);
    }
  }
  return { url: current.url, without, cost };
}

/** The processes under test. The output of each goes to a file in the folder. */
function createProcesses(dir: string, stops: Stops): Pick<Machine, 'start' | 'costs'> {
  const ended = new Map<string, Cost>();
  const running = new Set<Process>();
  return {
    async start(name, module, env, nodeFlags) {
      const flags = nodeFlags ?? (module.startsWith('src/') ? SERVICE_FLAGS : []);
      const logFile = join(dir, `${name.replace(/[^\w-]+/g, '-')}.log`);
      const onEnd = (cost: Cost) => {
        running.delete(started);
        ended.set(name, sum(ended.get(name), cost));
      };
      const command = { name, module, env, nodeFlags: flags, cwd: dir, logFile, onEnd };
      const started = await startProcess(command);
      running.add(started);
      stops.push(started.stop);
      return started;
    },
    costs() {
      const costs = new Map(ended);
      for (const { name, pid } of running) costs.set(name, sum(costs.get(name), costOf(pid)));
      return costs;
    },
  };
}

/** The sum of CPU time, and the larger of the two memory peaks. */
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
