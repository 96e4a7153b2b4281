/*
 * npm run bench:idle [-- SECONDS]: how many statements a worker sends while there is nothing to do, all
 * queues and pg-boss's own upkeep included, as pg_stat_statements counts them; and how long an order waits
 * for a worker that idles, from its commit until it is COMPLETED, by the clock of the database.
 */
import { setTimeout } from 'node:timers/promises';
import type { Client } from 'pg';
import { connect } from './databases.ts';
import { openMachine } from './machine.ts';
import { wakeWorkers } from './peers/service.ts';
import { quantile } from './results.ts';

const SETTLE_SECONDS = 15; // until what a start needs is over
const SAMPLES = 40;
/** What begins, bounds or ends a transaction, and asks for nothing. */
const FRAME = /^(BEGIN|COMMIT|ROLLBACK|SET)\b|pg_advisory_xact_lock/;
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
async function wakeLatencies(db: Client, wake: () => Promise<void>): Promise<number[]> {
  const samples: number[] = [];
  for (let i = 0; i < SAMPLES; i += 1) {
    await setTimeout(100 + Math.random() * 1000);
    const { rows } = await db.query<{ id: string }>(
      `SELECT place_order((SELECT id FROM users LIMIT 1), 'Book', 99) AS id`,
    );
    await wake();
    samples.push(await millisecondsTo(db, rows[0]?.id ?? ''));
  }
  return samples;
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

/** The median and the most, in words. */
function summaryOf(samples: number[]): string {
  return `p50 ${quantile(samples, 0.5).toFixed(1)} ms, max ${Math.max(...samples).toFixed(1)} ms`;
}

const seconds = Number(process.argv[2] ?? 300); // the audit comes every five minutes
const machine = await openMachine(COUNTING);
const { databaseUrl, env } = await machine.service();
const db = await connect(databaseUrl);
await db.query('CREATE EXTENSION pg_stat_statements');
await db.query(
  `INSERT INTO users (id, name, email, password_hash) VALUES (gen_random_uuid(), 'B', 'b@example.test', 'none')`,
);
const lines: string[] = [];

const woken = await machine.start('worker', 'src/worker.ts', env('worker'));
const statements = await countStatements(db, seconds);
const callsOf = (some: Statement[]) => some.reduce((sum, { calls }) => sum + calls, 0).toFixed(0);
const queries = statements.filter(({ query }) => !FRAME.test(query));
lines.push(`queries a minute of one idle worker: ${callsOf(queries)}`);
lines.push(`with what begins, bounds and ends transactions: ${callsOf(statements)}`);
for (const { calls, query } of statements)
  lines.push(`  ${calls.toFixed(1).padStart(6)}  ${query}`);
const wake = () => wakeWorkers(machine, 'orders');
lines.push(`order to COMPLETED, idle, woken: ${summaryOf(await wakeLatencies(db, wake))}`);
await woken.stop();

const withoutRedis = { ...env('worker'), REDIS_URL: undefined };
await machine.start('worker without Redis', 'src/worker.ts', withoutRedis);
const byLooking = await wakeLatencies(db, async () => undefined);
lines.push(`order to COMPLETED, idle, by looking: ${summaryOf(byLooking)}`);

await db.end();
await machine.close();
process.stdout.write(`${lines.join('\n')}\n`);
