/*
 * The Postgres and the Redis that a test run needs: those that its caller named, or servers started for the run.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { takeDataDir } from '../../src/local/data-dir.ts';
import { startPostgresIn } from '../../src/local/postgres.ts';
import { findRedis, startRedis } from '../../src/local/redis.ts';
import { ReadableError } from '../../src/process.ts';
import { namedServers } from './environment.ts';

type TestServers = { databaseUrl: string; redisUrl: string; stop: () => Promise<void> };

// The data of a test run may be lost in a power cut, so nothing waits for the disk.
export const FAST_AND_FORGETFUL = ['fsync=off', 'full_page_writes=off', 'max_connections=300'];

/** Uses the servers that the environment names, and starts the others. `stop` stops those that it started. */
export async function openTestServers(): Promise<TestServers> {
  const dir = mkdtempSync(join(tmpdir(), 'oms-test-'));
  const stops: (() => Promise<void>)[] = [];
  const named = namedServers();
  const databaseUrl = named.databaseUrl ?? (await ownPostgres(dir, stops));
  const redisUrl = named.redisUrl ?? (await ownRedis(dir, stops));
  const stop = async () => {
    await Promise.all(stops.map((stopOne) => stopOne()));
    rmSync(dir, { recursive: true, force: true });
  };
  return { databaseUrl, redisUrl, stop };
}

async function ownPostgres(dir: string, stops: (() => Promise<void>)[]): Promise<string> {
  const postgres = await startPostgresIn(takeDataDir(dir), FAST_AND_FORGETFUL);
  stops.push(postgres.stop);
  return postgres.url('postgres');
}

async function ownRedis(dir: string, stops: (() => Promise<void>)[]): Promise<string> {
  const redisDir = join(dir, 'redis');
  mkdirSync(redisDir);
  const redis = await startRedis(requireRedis(), redisDir);
  stops.push(redis.stop);
  return redis.url;
}

/** The path of Redis. Installs it as root on Debian or Ubuntu; elsewhere the error says what to install. */
export function requireRedis(): string {
  const found = findRedis();
  if (found) return found;
  if (process.getuid?.() === 0 && existsSync('/usr/bin/apt-get')) {
    process.stderr.write('Installing redis-server (apt-get) …\n');
    aptGet('update', '-qq');
    aptGet('install', '-y', '-qq', '--no-install-recommends', 'redis-server');
  }
  const installed = findRedis();
  if (installed) return installed;
  throw new ReadableError(
    'The tests need a real Redis: install redis-server or valkey-server, or set TEST_REDIS_URL',
  );
}

/** Runs apt-get without questions. With RUNLEVEL=1 the package does not start its server. */
function aptGet(...args: string[]): void {
  const variables = ['DEBIAN_FRONTEND=noninteractive', 'RUNLEVEL=1'];
  spawnSync('env', [...variables, 'apt-get', ...args], { stdio: 'ignore' });
}
