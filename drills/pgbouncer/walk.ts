/*
 * Runs API and worker through PgBouncer in transaction mode, as docs/operations.md says. migrate is refused, settings
 * are checked at the start, the statement timeout holds, orders are placed and processed, PgBouncer restarts under
 * load, and the audits find no violation.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { pino } from 'pino';
import { sql } from 'slonik';
import { z } from 'zod';
import { runAudit } from '../../src/audit/run.ts';
import { runScheduledAudit } from '../../src/audit/scheduled.ts';
import { MigrateConfig, WorkerConfig } from '../../src/config.ts';
import { loadConfig } from '../../src/config/load.ts';
import { openPool } from '../../src/db/pool.ts';
import { endChild } from '../../src/local/child-process.ts';
import { takeDataDir } from '../../src/local/data-dir.ts';
import { freePort } from '../../src/local/free-port.ts';
import { servicePasswords, startPostgresIn } from '../../src/local/postgres.ts';
import { migrate } from '../../src/migrate.ts';
import { explain } from '../../src/process.ts';
import { registerAndLogIn } from '../../test/support/accounts.ts';
import type { Drill } from '../drill.ts';
import { startProcess } from '../processes.ts';
import { startLoad, type LoadCounts } from '../rolling/load.ts';
import { startPgBouncer, type PgBouncer } from './pgbouncer.ts';

const silent = pino({ level: 'silent' });
const STOP_TIMEOUT_MS = 60_000;
const LOAD_MS = 10_000;
const PROCESSED_TIMEOUT_MS = 60_000;

type Say = (line: string) => void;

/** What each step needs: the database itself, PgBouncer in front of it, and a folder for the processes. */
type Place = { dir: string; databaseUrl: string; bouncer: PgBouncer };

/**
 * The drill `pgbouncer`. All is as promised when what cannot work is refused, the timeout ends a statement, requests
 * fail only in the run with the restart and only with 503, every stored order is completed, and the audits are clean.
 */
export const pgbouncer: Drill = {
  what: 'runs API and worker through PgBouncer, and restarts it (about 1 minute; needs pgbouncer)',
  async run(say, stop) {
    const dir = mkdtempSync(join(tmpdir(), 'oms-drill-'));
    const stops = [async () => rmSync(dir, { recursive: true, force: true })];
    try {
      const dataDir = takeDataDir(dir);
      const postgres = await startPostgresIn(dataDir);
      stops.push(postgres.stop);
      const passwords = servicePasswords(dataDir);
      const databaseUrl = postgres.url('postgres');
      const { username, password } = new URL(databaseUrl);
      await migrate(loadConfig(MigrateConfig, { DATABASE_URL: databaseUrl }), silent, passwords);
      const users = { ...passwords, [username]: password };
      const bouncer = await startPgBouncer(dir, databaseUrl, users);
      stops.push(bouncer.stop);
      say(`PgBouncer ${bouncer.version}, transaction mode, 10 connections for each login`);
      const place = { dir, databaseUrl, bouncer };
      const refuses = await checkRefusals(place, username, say);
      const holds = await checkTimeouts(place, say);
      const serves = await serve(place, say, stop);
      return refuses && holds && serves;
    } finally {
      for (let stopOne = stops.pop(); stopOne; stopOne = stops.pop()) await stopOne();
    }
  },
};

/** Whether what cannot work through PgBouncer is refused by one line. */
async function checkRefusals({ bouncer }: Place, superuser: string, say: Say): Promise<boolean> {
  const migrateConfig = loadConfig(MigrateConfig, { DATABASE_URL: bouncer.url(superuser) });
  const refusals = {
    'migrate through PgBouncer': () => migrate(migrateConfig, silent),
    'the API without the connect_query': () =>
      openPool({ DATABASE_URL: bouncer.url('oms_api', 'bare'), POOL_SIZE_MAX: 1 }, silent),
  };
  let isRefused = true;
  for (const [what, attempt] of Object.entries<() => Promise<unknown>>(refusals)) {
    const line = await attempt().then(() => 'NOT REFUSED', explain);
    isRefused &&= /pooler/.test(line);
    say(`${what}: ${line}`);
  }
  return isRefused;
}

async function checkTimeouts({ bouncer }: Place, say: Say): Promise<boolean> {
  const config = { DATABASE_URL: bouncer.url('oms_api'), POOL_SIZE_MAX: 2 };
  const pool = await openPool(config, silent);
  const started = performance.now();
  const line = await pool.query(sql.unsafe`SELECT pg_sleep(30)`).then(() => 'NOT ENDED', explain);
  await pool.end();
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  say(`a statement that takes 30 s ended after ${seconds} s: ${line}`);
  return line !== 'NOT ENDED';
}

async function serve(place: Place, say: Say, stop: AbortSignal): Promise<boolean> {
  const port = await freePort();
  const env = (login: string) => ({ DATABASE_URL: place.bouncer.url(login) });
  const api = await startProcess('api', place.dir, { ...env('oms_api'), PORT: String(port) });
  try {
    const worker = await startProcess('worker', place.dir, env('oms_worker'));
    try {
      return await load(place, `http://127.0.0.1:${port}`, say, stop);
    } finally {
      await endChild(worker, 'SIGTERM', STOP_TIMEOUT_MS);
    }
  } finally {
    await endChild(api, 'SIGTERM', STOP_TIMEOUT_MS);
  }
}

async function load(place: Place, origin: string, say: Say, stop: AbortSignal): Promise<boolean> {
  const customer = await registerAndLogIn({ origin });
  const run = async (during: () => Promise<unknown>): Promise<LoadCounts> => {
    const customers = startLoad(origin, customer);
    try {
      await during();
    } finally {
      await customers.stop();
    }
    return customers.stop();
  };
  const wait = () => setTimeout(LOAD_MS, undefined, { signal: stop });
  const calm = await run(wait);
  say(describe('without a fault', calm));
  const restarted = await run(async () => {
    await wait();
    await place.bouncer.restart();
    await wait();
  });
  say(describe('with a restart of PgBouncer', restarted));
  const accepted = calm.requests - calm.failed + restarted.requests - restarted.failed;
  const isComplete = await checkOrders(place, accepted, say, stop);
  const others = Object.keys(restarted.failures).filter((failure) => failure !== '503');
  return isComplete && calm.failed === 0 && others.length === 0;
}

function describe(when: string, { requests, failed, failures }: LoadCounts): string {
  const how = failed === 0 ? '' : ` (${JSON.stringify(failures)})`;
  return `${when}: ${requests} requests, ${failed} failed${how}`;
}

const Counts = z.object({ orders: z.number(), open: z.number() });

/** Waits until every order has ended, and audits. A request that got 503 may have stored its order all the same. */
async function checkOrders(
  { databaseUrl, bouncer }: Place,
  accepted: number,
  say: Say,
  stop: AbortSignal,
): Promise<boolean> {
  const pool = await openPool({ DATABASE_URL: databaseUrl, POOL_SIZE_MAX: 1 }, silent);
  const count = () =>
    pool.one(sql.type(Counts)`
      SELECT count(*) AS orders, count(*) FILTER (WHERE status <> 'COMPLETED') AS open FROM orders
    `);
  const deadline = Date.now() + PROCESSED_TIMEOUT_MS;
  let counts = await count();
  while (counts.open > 0 && Date.now() < deadline) {
    await setTimeout(200, undefined, { signal: stop });
    counts = await count();
  }
  await pool.end();
  const config = loadConfig(WorkerConfig, { DATABASE_URL: bouncer.url('oms_worker') });
  const scheduled = await runScheduledAudit({ config, log: silent });
  const whole = await runAudit({ databaseUrl: bouncer.url('oms_worker'), keys: null });
  say(
    `${accepted} orders accepted, ${counts.orders} stored, ${counts.open} not completed; audits through PgBouncer: ` +
      `${scheduled.orders} and ${whole.findings.orders} orders, ` +
      `${JSON.stringify(scheduled.counts)} and ${JSON.stringify(whole.findings.counts)} violations`,
  );
  const violations = { ...scheduled.counts, ...whole.findings.counts };
  return counts.open === 0 && counts.orders >= accepted && Object.keys(violations).length === 0;
}
