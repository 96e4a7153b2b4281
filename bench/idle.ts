import { setTimeout } from 'node:timers/promises';
import type { Client } from 'pg';
import { ReadableError } from '../src/process.ts';
import { connect } from './databases.ts';
import { withMachine } from './machine.ts';
import { wakeWorkers } from './peers/service.ts';
import { quantile } from './results.ts';

const DEFAULT_SECONDS = 300; // long enough for one audit, which runs every five minutes
const SETTLE_SECONDS = 15; // until the worker has started
const SAMPLES = 40;
/** Statements that begin, bound or end a transaction, and read nothing. */
const FRAME = /^(BEGIN|COMMIT|ROLLBACK|SET)\b|pg_advisory_xact_lock/;
const COUNTING = ['shared_preload_libraries=pg_stat_statements', 'pg_stat_statements.track=top'];

type Statement = { calls: number; query: string };

/** The statements that one idle worker sends, with their calls a minute. The most frequent comes first. */
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

/**
 * Milliseconds from the first event of an order to its last, COMPLETED. The orders come at random times between two
 * polls.
 */
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

/** The median and the maximum, as text. */
function summaryOf(samples: number[]): string {
  return `p50 ${quantile(samples, 0.5).toFixed(1)} ms, max ${Math.max(...samples).toFixed(1)} ms`;
}

/**
 * npm run bench idle [SECONDS]: how many statements a worker sends while it has nothing to do, as pg_stat_statements
 * counts them, including all queues and the maintenance of pg-boss. Then how long an order waits for an idle worker,
 * from its placement until it is COMPLETED, by the clock of the database.
 */
export async function measureIdle([argument = String(DEFAULT_SECONDS)]: string[]): Promise<void> {
  const seconds = Number(argument);
  if (!(seconds > 0)) throw new ReadableError('Usage: npm run bench idle [SECONDS]');
  await withMachine(async (machine) => {
    const { databaseUrl, env } = await machine.service();
    const db = await connect(databaseUrl);
    await db.query('CREATE EXTENSION pg_stat_statements');
    await db.query(
      `INSERT INTO users (id, name, email, password_hash) VALUES (gen_random_uuid(), 'B', 'b@example.test', 'none')`,
    );

    const woken = await machine.start('worker', 'src/worker.ts', env('worker'));
    printStatements(await countStatements(db, seconds));
    const latencies = await wakeLatencies(db, () => wakeWorkers(machine, 'orders'));
    print(`order to COMPLETED, idle, with a wake-up: ${summaryOf(latencies)}`);
    await woken.stop();

    const withoutRedis = { ...env('worker'), REDIS_URL: undefined };
    await machine.start('worker without Redis', 'src/worker.ts', withoutRedis);
    const polled = await wakeLatencies(db, async () => undefined);
    print(`order to COMPLETED, idle, by polling: ${summaryOf(polled)}`);
    await db.end();
  }, COUNTING);
}

function printStatements(statements: Statement[]): void {
  const callsOf = (some: Statement[]) => some.reduce((sum, { calls }) => sum + calls, 0).toFixed(0);
  const queries = statements.filter(({ query }) => !FRAME.test(query));
  print(`queries a minute of one idle worker: ${callsOf(queries)}`);
  print(`with the statements that begin, bound and end transactions: ${callsOf(statements)}`);
  for (const { calls, query } of statements) print(`  ${calls.toFixed(1).padStart(6)}  ${query}`);
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}
