import { mkdirSync } from 'node:fs';
import type { DataDir } from './data-dir.ts';
import { ensureDatabase, startPostgresIn } from './postgres.ts';
import { findRedis, keepRedis } from './redis.ts';
import type { StartedParts } from './started-parts.ts';

const DATABASE = 'orders';

/** Prints one line for the person at the terminal. */
export type Print = (line: string) => void;

/**
 * Starts the embedded Postgres, and returns the URL of its database for the superuser. When Postgres ends
 * unexpectedly, stops all parts and exits with code 1.
 */
export async function startOwnPostgres(
  dataDir: DataDir,
  parts: StartedParts,
  print: Print,
): Promise<string> {
  print('Starting Postgres …');
  const postgres = await startPostgresIn(dataDir);
  parts.add(postgres.stop);
  postgres.onCrash(() => {
    print('Postgres ended unexpectedly; stopping the rest.');
    void parts.stop().finally(() => process.exit(1));
  });
  await ensureDatabase(postgres, DATABASE);
  return postgres.url(DATABASE);
}

/** Starts Redis when it is installed, keeps it running, and returns its URL. Otherwise prints one line. */
export async function startOwnRedis(
  dataDir: DataDir,
  parts: StartedParts,
  print: Print,
): Promise<string | undefined> {
  const program = findRedis();
  if (!program) {
    print(
      'No REDIS_URL, and no redis-server or valkey-server on the PATH: running degraded, without Redis.',
    );
    return undefined;
  }
  const dir = dataDir.path('redis');
  mkdirSync(dir, { recursive: true });
  const redis = await keepRedis(program, dir, print);
  parts.add(redis.stop);
  return redis.url;
}
