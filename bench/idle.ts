/*
 * npm run bench:idle [-- SECONDS]: how many statements a worker sends while there is nothing to do, all
 * queues and pg-boss's own upkeep included, as pg_stat_statements counts them; and how long an order waits
 * for a worker that idles, from its commit until it is COMPLETED, by the clock of the database.
 */
import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { Client } from 'pg';
import { pino } from 'pino';
import { loadConfig } from '../src/config.ts';
import { asRole } from '../src/db/roles.ts';
import { takeDataDir } from '../src/embedded/data-dir.ts';
import { ensureDatabase, startPostgresIn } from '../src/embedded/postgres.ts';
import { startRedis } from '../src/embedded/redis.ts';
import { migrate } from '../src/migrate.ts';
import { requireRedis } from '../src/testing/servers.ts';

const SETTLE_SECONDS = 15; // until what a start needs is over
const SAMPLES = 40;
const JWT_SECRET = 'a-secret-for-measuring-and-nothing-else';
const COUNTING = ['shared_preload_libraries=pg_stat_statements', 'pg_stat_statements.track=top'];

type Statement = { calls: number; query: string };

/** Statements a minute that one idle worker sends, most frequent first. */
async function countStatements(db: Client, seconds: number): Promise<Statement[]> {
  await setTimeout(SETTLE_SECONDS * 1000);
  await db.query('SELECT pg_stat_statements_reset()');
  await setTimeout(seconds * 1000);
  const { rows } = await db.query<Statement>(
    `SELECT (60.0 * sum(calls) / $1)::float8 AS calls,
       left(regexp_replace(query, '\\s+', ' ', 'g'), 90) AS query
     FROM pg_stat_statements WHERE userid = 'oms_worker'::regrole GROUP BY 2 ORDER BY 1 DESC`,
    [seconds],
  );
  return rows;
}

/** Milliseconds from the commit of an order until it is COMPLETED, at no fixed distance from the poll. */
async function wakeLatencies(db: Client, redis: Redis | null): Promise<number[]> {
  const samples: number[] = [];
  for (let i = 0; i < SAMPLES; i += 1) {
    await setTimeout(100 + Math.random() * 1000);
    const { rows } = await db.query<{ id: string }>(
      `SELECT place_order((SELECT id FROM users LIMIT 1), 'Book', 99) AS id`,
    );
    await redis?.publish('oms:wake', 'process-order');
    samples.push(await millisecondsTo(db, rows[0]?.id ?? ''));
  }
  return samples.sort((a, b) => a - b);
}

async function millisecondsTo(db: Client, id: string): Promise<number> {
  for (;;) {
    await setTimeout(20);
    const { rows } = await db.query<{ ms: number }>(
      `SELECT extract(epoch FROM e.at - p.at)::float8 * 1000 AS ms
       FROM order_events AS e JOIN order_events AS p ON p.order_id = e.order_id AND p.version = 1
       WHERE e.order_id = $1 AND e.to_status = 'COMPLETED'`,
      [id],
    );
    if (rows[0]) return rows[0].ms;
  }
}

async function startWorker(env: Record<string, string>): Promise<ChildProcess> {
  const child = fork('src/worker.ts', {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
  await once(child, 'message'); // it is ready
  return child;
}

async function stop(child: ChildProcess): Promise<void> {
  child.kill('SIGTERM');
  await once(child, 'exit');
}

const seconds = Number(process.argv[2] ?? 60);
const dir = mkdtempSync(join(tmpdir(), 'oms-idle-'));
const dataDir = takeDataDir(dir);
const postgres = await startPostgresIn(dataDir, COUNTING);
await ensureDatabase(postgres, 'orders');
mkdirSync(dataDir.path('redis'));
const server = await startRedis(requireRedis(), dataDir.path('redis'));
const url = postgres.url('orders');
await migrate(loadConfig({ DATABASE_URL: url, JWT_SECRET }), pino({ level: 'silent' }));
const db = new Client(url);
await db.connect();
await db.query('CREATE EXTENSION pg_stat_statements');
await db.query(
  `INSERT INTO users (id, name, email, password_hash) VALUES (gen_random_uuid(), 'B', 'b@example.test', 'none')`,
);
const redis = new Redis(server.url);
const env = { DATABASE_URL: asRole(url, 'oms_worker'), JWT_SECRET };

const lines: string[] = [];
for (const withRedis of [true, false]) {
  const worker = await startWorker(withRedis ? { ...env, REDIS_URL: server.url } : env);
  if (withRedis) {
    const statements = await countStatements(db, seconds);
    const total = statements.reduce((sum, { calls }) => sum + calls, 0);
    lines.push(`statements a minute of one idle worker: ${total.toFixed(0)}`);
    for (const { calls, query } of statements)
      lines.push(`  ${calls.toFixed(1).padStart(6)}  ${query}`);
  }
  const samples = await wakeLatencies(db, withRedis ? redis : null);
  const at = (share: number) =>
    (samples[Math.floor(share * (samples.length - 1))] ?? NaN).toFixed(1);
  lines.push(
    `order to COMPLETED, idle, ${withRedis ? 'woken' : 'by looking'}: p50 ${at(0.5)} ms, max ${at(1)} ms`,
  );
  await stop(worker);
}
process.stdout.write(`${lines.join('\n')}\n`);
redis.disconnect();
await db.end();
await server.stop();
await postgres.stop();
rmSync(dir, { recursive: true, force: true });
