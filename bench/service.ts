import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { pino } from 'pino';
import { loadConfig, type Environment } from '../src/config.ts';
import { takeDataDir } from '../src/embedded/data-dir.ts';
import { asRole } from '../src/db/roles.ts';
import { ensureDatabase, startPostgresIn } from '../src/embedded/postgres.ts';
import { startRedis } from '../src/embedded/redis.ts';
import { migrate } from '../src/migrate.ts';
import { requireRedis } from '../src/testing/servers.ts';
import { NO_LIMITS } from '../src/testing/template.ts';

const JWT_SECRET = 'a-secret-for-measuring-and-nothing-else';

/** A process of the service: its output is read for the port, and it can be asked for its memory. */
export type Running = { child: ChildProcess; port: number; rssMb: () => number };

/** Real servers for one measurement: Postgres with fsync on, Redis when wanted, all on loopback. */
export async function openMachine({ redis }: { redis: boolean }) {
  const dir = mkdtempSync(join(tmpdir(), 'oms-bench-'));
  const dataDir = takeDataDir(dir);
  const postgres = await startPostgresIn(dataDir);
  await ensureDatabase(postgres, 'orders');
  mkdirSync(dataDir.path('redis'));
  const server = redis ? await startRedis(requireRedis(), dataDir.path('redis')) : null;
  const databaseUrl = postgres.url('orders');
  const env: Environment = {
    ...process.env,
    DATABASE_URL: databaseUrl,
    REDIS_URL: server?.url,
    JWT_SECRET,
    PORT: '0',
    WORKER_PORT: '0',
    LOG_LEVEL: 'info',
    ...NO_LIMITS,
  };
  await migrate(loadConfig(env), pino({ level: 'silent' }));
  const children: ChildProcess[] = [];

  async function run(module: 'api' | 'worker'): Promise<Running> {
    const child = fork(`src/${module}.ts`, {
      env: { ...env, DATABASE_URL: asRole(databaseUrl, `oms_${module}`) },
      stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
    });
    children.push(child);
    const { promise: port, resolve } = Promise.withResolvers<number>();
    if (!child.stdout) throw new Error('a piped child has a stdout');
    createInterface({ input: child.stdout }).on('line', (line) => {
      const entry = JSON.parse(line) as { msg: string; port?: number };
      if (/^(api listening|worker started)$/.test(entry.msg)) resolve(entry.port ?? 0);
    });
    return { child, port: await port, rssMb: () => readRssMb(child.pid ?? 0) };
  }

  async function close(): Promise<void> {
    for (const child of children) {
      child.kill('SIGTERM');
      await once(child, 'exit');
    }
    await server?.stop();
    await postgres.stop();
    rmSync(dir, { recursive: true, force: true });
  }

  return { databaseUrl, redisUrl: server?.url, run, close };
}

function readRssMb(pid: number): number {
  const kb = /VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
  return Number(kb) / 1024;
}

/** The value below which a share of the samples lies. */
export function quantile(samples: number[], share: number): number {
  const sorted = [...samples].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? Number.NaN;
}

/** Registers a user through the API and logs in. */
export async function signUp(origin: string): Promise<Record<string, string>> {
  const account = { email: `bench-${Date.now()}@example.test`, password: 'correct horse' };
  const headers = { 'content-type': 'application/json' };
  const post = (path: string, body: object) =>
    fetch(`${origin}${path}`, { method: 'POST', headers, body: JSON.stringify(body) });
  await post('/auth/register', { name: 'Bench', ...account });
  const { access_token } = (await (await post('/auth/login', account)).json()) as {
    access_token: string;
  };
  return { ...headers, authorization: `Bearer ${access_token}` };
}
