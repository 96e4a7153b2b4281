import { statfsSync } from 'node:fs';
import { cpus, tmpdir, totalmem } from 'node:os';
import { setTimeout } from 'node:timers/promises';
import packageJson from '../package.json' with { type: 'json' };
import { costOfAsked } from './child.ts';
import { costOf, type Cost } from './cost.ts';
import type { Machine } from './machine.ts';

/** Under what circumstances the figures came about. */
export type Receipt = {
  began: string;
  seconds: number;
  rounds: number;
  quick: boolean;
  cpu: string;
  memory_gib: number;
  /** Where Postgres has its data: on tmpfs, fsync costs nothing. */
  filesystem: string;
  node: string;
  packages: Record<string, string>;
  /** 'fsync': 'on' … */
  postgres: Record<string, string>;
  redis: Record<string, string>;
  /** Row versions that are dead and not yet vacuumed in the end, by database. */
  dead_tuples: Record<string, number>;
  processes: Record<string, Cost>;
};

const PACKAGES = ['koa', 'slonik', 'pg', 'pg-boss', 'ioredis', 'pino'] as const;
const PEERS = ['fastify', 'bullmq', 'graphile-worker', 'autocannon'] as const;

const SETTINGS = [
  'server_version',
  'fsync',
  'synchronous_commit',
  'full_page_writes',
  'wal_level',
  'shared_buffers',
  'max_wal_size',
  'checkpoint_timeout',
  'wal_compression',
  'autovacuum',
  'max_connections',
];

const STATISTICS_MS = 1200; // idle backends have reported theirs by then

/** Reads what there is to say about the machine, the servers, and the run that has just ended. */
export async function readReceipt(
  machine: Machine,
  run: Pick<Receipt, 'began' | 'seconds' | 'rounds' | 'quick'>,
): Promise<Receipt> {
  await setTimeout(STATISTICS_MS);
  return {
    ...run,
    cpu: `${cpus().length} × ${cpus()[0]?.model.trim() ?? 'unknown'}`,
    memory_gib: Math.round(totalmem() / 2 ** 30),
    filesystem: filesystemOf(tmpdir()),
    node: process.version,
    packages: versions(),
    postgres: await settings(machine),
    redis: { server_version: await machine.redisVersion(), appendonly: 'no', save: 'never' },
    dead_tuples: await deadTuples(machine),
    processes: {
      ...Object.fromEntries(machine.costs()),
      'load generators': costOfAsked(),
      'the bench itself': costOf(process.pid),
    },
  };
}

/** See statfs(2). */
const FILESYSTEMS = new Map([
  [0xef53, 'ext4'],
  [0x58465342, 'xfs'],
  [0x9123683e, 'btrfs'],
  [0x2fc12fc1, 'zfs'],
  [0x794c7630, 'overlayfs'],
  [0x01021994, 'tmpfs'],
]);

function filesystemOf(path: string): string {
  const { type } = statfsSync(path);
  return FILESYSTEMS.get(type) ?? `type 0x${type.toString(16)}`;
}

/** As they are installed, which is what package-lock.json says. */
function versions(): Record<string, string> {
  const declared = { ...packageJson.dependencies, ...packageJson.devDependencies };
  return Object.fromEntries([...PACKAGES, ...PEERS].map((name) => [name, declared[name]]));
}

async function settings(machine: Machine): Promise<Record<string, string>> {
  const names = SETTINGS.map((name) => `('${name}')`).join(', ');
  const rows = await machine.query<{ name: string; value: string }>(
    `SELECT name, current_setting(name) AS value FROM (VALUES ${names}) AS wanted (name)`,
  );
  return Object.fromEntries(rows.map(({ name, value }) => [name, value]));
}

async function deadTuples(machine: Machine): Promise<Record<string, number>> {
  const databases = await machine.query<{ name: string }>(
    `SELECT datname AS name FROM pg_database WHERE NOT datistemplate AND datname <> 'postgres'`,
  );
  const found: Record<string, number> = {};
  for (const { name } of databases) {
    const [sum] = await machine.query<{ dead: number | null }>(
      'SELECT sum(n_dead_tup)::int AS dead FROM pg_stat_user_tables',
      name,
    );
    found[name] = sum?.dead ?? 0;
  }
  return found;
}
