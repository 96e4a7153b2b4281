import { readFileSync, statfsSync } from 'node:fs';
import { findPackageJSON } from 'node:module';
import { cpus, tmpdir, totalmem } from 'node:os';
import { setTimeout } from 'node:timers/promises';
import { ReadableError } from '../src/process.ts';
import { costOfChildren } from './child.ts';
import { costOf, type Cost } from './cost.ts';
import type { Machine } from './machine.ts';

/** The circumstances under which a run was measured. */
export type Receipt = {
  began: string;
  seconds: number;
  rounds: number;
  quick: boolean;
  cpu: string;
  memory_gib: number;
  /** The file system of the data directory of Postgres. On tmpfs, fsync costs nothing. */
  filesystem: string;
  node: string;
  packages: Record<string, string>;
  /** 'fsync': 'on' … */
  postgres: Record<string, string>;
  redis: Record<string, string>;
  /** Dead row versions that are not vacuumed yet at the end, by database. */
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

const STATISTICS_MS = 1200; // for the backends of stopped processes to end: a backend then reports its statistics

/** Reads the facts about the machine, the servers and the processes of a run that has just ended. */
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
      'load generators': costOfChildren(),
      'the bench itself': costOf(process.pid),
    },
  };
}

/** The type numbers of file systems, see statfs(2). */
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

/** The versions of the installed packages. */
function versions(): Record<string, string> {
  return Object.fromEntries([...PACKAGES, ...PEERS].map((name) => [name, versionOf(name)]));
}

function versionOf(name: string): string {
  const file = findPackageJSON(name, import.meta.url);
  if (file === undefined) throw new ReadableError(`The package ${name} is not installed`);
  return (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version;
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
