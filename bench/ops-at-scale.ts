import type { Client } from 'pg';
import { timeAudit } from './audit-at-scale.ts';
import { fill } from './fill.ts';
import { connect } from './databases.ts';
import { withMachine } from './machine.ts';
import { quantile } from './results.ts';

const RUNS = 5;
const VIEW_MS = 50;
const EXPLAIN_JOB_MS = 20;
const AUDIT_SECONDS = 120;
const size = {
  orders: Number(process.env.BENCH_ORDERS ?? 2_000_000),
  jobs: Number(process.env.BENCH_JOBS ?? 200_000),
};

type Measured = { name: string; statement: string; values: unknown[]; ms: number; limitMs: number };

// These views have a row for each job or event, and are read with a LIMIT.
const PER_JOB_OR_EVENT = new Set(['_running_jobs', 'jobs', 'order_timeline']);

async function viewStatements(db: Client): Promise<[name: string, statement: string][]> {
  const { rows } = await db.query<{ name: string }>(
    `SELECT viewname::text AS name FROM pg_views WHERE schemaname = 'ops' ORDER BY viewname`,
  );
  return rows.map(({ name }) => [
    `ops.${name}`,
    PER_JOB_OR_EVENT.has(name) ? `SELECT * FROM ops.${name} LIMIT 100` : `TABLE ops.${name}`,
  ]);
}

async function measure(
  db: Client,
  name: string,
  statement: string,
  values: unknown[],
  limitMs: number,
): Promise<Measured> {
  await db.query(statement, values); // warms the caches
  const samples: number[] = [];
  for (let run = 0; run < RUNS; run += 1) {
    const start = performance.now();
    await db.query(statement, values);
    samples.push(performance.now() - start);
  }
  return { name, statement, values, ms: quantile(samples, 0.5), limitMs };
}

async function idsByState(db: Client): Promise<[state: string, id: string][]> {
  const { rows } = await db.query<{ state: string; id: string }>(`
    SELECT DISTINCT ON (name, state) name || ' ' || state AS state, id FROM pgboss.job
    WHERE NOT name LIKE '\\_\\_%' ORDER BY name, state, created_on DESC
  `);
  return rows.map(({ state, id }) => [state, id]);
}

async function measureAll(db: Client): Promise<Measured[]> {
  const measured: Measured[] = [];
  for (const [name, statement] of await viewStatements(db))
    measured.push(await measure(db, name, statement, [], VIEW_MS));
  const states = await idsByState(db);
  const [, order] = states.find(([state]) => state === 'process-order retry') ?? [];
  for (const [name, statement] of [
    ['ops.jobs of an order', 'SELECT * FROM ops.jobs WHERE order_id = $1'],
    ['ops.jobs by id', 'SELECT * FROM ops.jobs WHERE job_id = $1'],
    ['ops.order_timeline of an order', 'SELECT * FROM ops.order_timeline WHERE order_id = $1'],
  ] as const) {
    measured.push(await measure(db, name, statement, [order], VIEW_MS));
  }
  const retrying = `SELECT * FROM ops.jobs WHERE queue = 'process-order' AND state = 'retry' LIMIT 100`;
  measured.push(await measure(db, 'ops.jobs retrying', retrying, [], VIEW_MS));
  for (const [state, id] of states) {
    const name = `ops.explain_job, ${state}`;
    const statement = 'SELECT ops.explain_job($1)';
    measured.push(await measure(db, name, statement, [id], EXPLAIN_JOB_MS));
  }
  return measured;
}

/**
 * npm run bench scale: how long each view of schema ops and ops.explain_job take with 2,000,000 orders and 200,000
 * jobs: the median of 5 runs, and the plan of the slowest. Then the duration and the memory peak of npm run audit over
 * all orders. BENCH_ORDERS and BENCH_JOBS make it smaller. It fills a Postgres of its own, or the migrated database of
 * BENCH_DATABASE_URL, unless that has orders already.
 */
export async function measureScale(): Promise<void> {
  const given = process.env.BENCH_DATABASE_URL;
  if (given) await measureDatabase(given);
  else await withMachine(async (machine) => measureDatabase((await machine.service()).databaseUrl));
}

async function measureDatabase(databaseUrl: string): Promise<void> {
  const db = await connect(databaseUrl);
  try {
    await fillOnce(db);
    const measured = await measureAll(db);
    for (const { name, ms, limitMs } of measured) {
      const verdict = ms < limitMs ? 'ok  ' : 'SLOW';
      console.log(`${verdict} ${ms.toFixed(1).padStart(8)} ms (< ${limitMs})  ${name}`);
    }
    await printSlowest(db, measured);
    const { seconds, peakMb, exitCode } = await timeAudit(databaseUrl);
    console.log(
      `\nnpm run audit: ${seconds.toFixed(1)} s (< ${AUDIT_SECONDS}), at most ${peakMb.toFixed(0)} MB`,
    );
    const isTooSlow = measured.some(({ ms, limitMs }) => ms >= limitMs) || seconds >= AUDIT_SECONDS;
    if (isTooSlow || exitCode !== 0) process.exitCode = 1;
  } finally {
    await db.end();
  }
}

/** Fills the database if it has no orders, and prints its size. */
async function fillOnce(db: Client): Promise<void> {
  const { rows: filled } = await db.query('SELECT FROM orders LIMIT 1');
  const start = performance.now();
  if (filled.length === 0) {
    await fill(db, size, (done) => process.stderr.write(`\r${done} of ${size.orders} orders`));
    process.stderr.write(`, filled in ${Math.round((performance.now() - start) / 1000)} s\n`);
  }
  const { rows } = await db.query<Record<string, unknown>>(`
    SELECT current_setting('server_version') AS version, (SELECT count(*) FROM orders) AS orders,
      (SELECT count(*) FROM order_events) AS events, (SELECT count(*) FROM pgboss.job) AS jobs
  `);
  console.log(rows[0]);
}

/** Prints the plan of the statement that comes closest to its limit, or exceeds it most. */
async function printSlowest(db: Client, measured: Measured[]): Promise<void> {
  const slowest = measured.reduce((a, b) => (b.ms / b.limitMs > a.ms / a.limitMs ? b : a));
  const { rows: plan } = await db.query<{ 'QUERY PLAN': string }>(
    `EXPLAIN (ANALYZE, BUFFERS) ${slowest.statement}`,
    slowest.values,
  );
  console.log(`\nPlan of ${slowest.name}:`);
  for (const line of plan) console.log(line['QUERY PLAN']);
}
