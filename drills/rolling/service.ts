import type { ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { MigrateConfig } from '../../src/config.ts';
import { loadConfig } from '../../src/config/load.ts';
import { serviceUrl } from '../../src/db/roles.ts';
import { endChild } from '../../src/local/child-process.ts';
import { takeDataDir } from '../../src/local/data-dir.ts';
import { freePort } from '../../src/local/free-port.ts';
import { servicePasswords, startPostgresIn } from '../../src/local/postgres.ts';
import { migrate } from '../../src/migrate.ts';
import { startProcess } from '../processes.ts';

const STOP_TIMEOUT_MS = 60_000;

/** A migrated Postgres and API processes, in a temporary folder. */
type Service = {
  dir: string;
  ports: number[];
  /** Ends each process by SIGTERM, one after the other, and starts a new one on its port. */
  replaceEach: (drainSeconds: number, onReplaced: () => Promise<void>) => Promise<void>;
  stop: () => Promise<void>;
};

/** Starts Postgres and API processes. If one does not start, stops those that did. */
export async function startService(processes: number, drainSeconds: number): Promise<Service> {
  const dir = mkdtempSync(join(tmpdir(), 'oms-drill-'));
  const stops = [async () => rmSync(dir, { recursive: true, force: true })];
  async function stop(): Promise<void> {
    for (let stopOne = stops.pop(); stopOne; stopOne = stops.pop()) await stopOne();
  }
  try {
    const dataDir = takeDataDir(dir);
    const postgres = await startPostgresIn(dataDir);
    stops.push(postgres.stop);
    const passwords = servicePasswords(dataDir);
    const superuserUrl = postgres.url('postgres');
    const migrateConfig = loadConfig(MigrateConfig, { DATABASE_URL: superuserUrl });
    await migrate(migrateConfig, pino({ level: 'silent' }), passwords);
    const databaseUrl = serviceUrl(superuserUrl, 'oms_api', passwords.oms_api);

    const children: ChildProcess[] = [];
    stops.push(async () => {
      await Promise.all(children.map((child) => endChild(child, 'SIGKILL', 0)));
    });
    const ports: number[] = [];
    for (let number = 0; number < processes; number += 1) ports.push(await freePort());
    const start = async (number: number, seconds: number) => {
      const env = { DATABASE_URL: databaseUrl, PORT: String(ports[number]) };
      children[number] = await startProcess('api', dir, { ...env, DRAIN_SECONDS: String(seconds) });
    };
    for (const number of ports.keys()) await start(number, drainSeconds);

    async function replaceEach(seconds: number, onReplaced: () => Promise<void>): Promise<void> {
      for (const [number, child] of [...children].entries()) {
        await endChild(child, 'SIGTERM', STOP_TIMEOUT_MS);
        await start(number, seconds);
        await onReplaced();
      }
    }
    return { dir, ports, replaceEach, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}
