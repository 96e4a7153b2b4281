/*
 * A Postgres that tests and chaos restart at the same address.
 */
import { once } from 'node:events';
import { setTimeout } from 'node:timers/promises';
import type { DataDir } from '../../src/local/data-dir.ts';
import { ensureDatabase, startPostgresIn } from '../../src/local/postgres.ts';
import { freePort } from '../../src/local/free-port.ts';

export type RestartablePostgres = {
  /** The URL of the superuser. */
  url: string;
  /** `fast` ends all connections and writes everything. After `immediate`, the next start recovers from the WAL. */
  restart: (how: 'fast' | 'immediate', downMs?: number) => Promise<void>;
  /** Runs a function while no restart is in progress. */
  whileUp: <T>(act: () => Promise<T>) => Promise<T>;
  stop: () => Promise<void>;
};

/** Starts Postgres in a data directory, with one database. */
export async function startRestartablePostgres(
  dataDir: DataDir,
  database: string,
  settings: string[] = [],
): Promise<RestartablePostgres> {
  const port = await freePort();
  const start = () => startPostgresIn(dataDir, settings, port);
  let current = await start();
  await ensureDatabase(current, database);
  let queue: Promise<unknown> = Promise.resolve();

  function whileUp<T>(act: () => Promise<T>): Promise<T> {
    const acted = queue.then(act);
    queue = acted.catch(() => undefined); // the caller gets the rejection
    return acted;
  }
  const restart = (how: 'fast' | 'immediate', downMs = 0) =>
    whileUp(async () => {
      const exited = once(current.child, 'exit');
      current.child.kill(how === 'fast' ? 'SIGINT' : 'SIGQUIT');
      await exited;
      await setTimeout(downMs);
      current = await start();
    });
  const stop = () => whileUp(() => current.stop());
  return { url: current.url(database), restart, whileUp, stop };
}
