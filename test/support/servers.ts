import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { takeDataDir } from '../../src/local/data-dir.ts';
import { startPostgresIn } from '../../src/local/postgres.ts';
import { findRedis, startRedis } from '../../src/local/redis.ts';

/** The servers that a test run needs, and a function that stops them. */
export type TestServers = { databaseUrl: string; redisUrl: string; stop: () => Promise<void> };

// A test run need not survive a power cut, so nothing waits for the disk.
export const FAST_AND_FORGETFUL = ['fsync=off', 'full_page_writes=off', 'max_connections=300'];

/** Uses the servers named in TEST_DATABASE_URL and TEST_REDIS_URL, and starts those that are not named. */
export async function openTestServers(): Promise<TestServers> {
  const dir = mkdtempSync(join(tmpdir(), 'oms-test-'));
  const stops: (() => Promise<void>)[] = [];
  const databaseUrl = process.env.TEST_DATABASE_URL || (await ownPostgres(dir, stops));
  const redisUrl = process.env.TEST_REDIS_URL || (await ownRedis(dir, stops));
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

/** The path of Redis. Installs it as root on Debian; elsewhere throws one line that says what to do. */
export function requireRedis(): string {
  const found = findRedis();
  if (found) return found;
  if (process.getuid?.() === 0 && existsSync('/usr/bin/apt-get')) {
    process.stderr.write('Installing redis-server (apt-get) …\n');
    const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive', RUNLEVEL: '1' }; // do not start it
    const options = { env, stdio: 'ignore' } as const;
    spawnSync('apt-get', ['update', '-qq'], options);
    spawnSync(
      'apt-get',
      ['install', '-y', '-qq', '--no-install-recommends', 'redis-server'],
      options,
    );
  }
  const installed = findRedis();
  if (installed) return installed;
  throw new Error(
    'The tests need a real Redis: install redis-server or valkey-server, or set TEST_REDIS_URL',
  );
}
