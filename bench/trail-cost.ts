import { cpus } from 'node:os';
import { setTimeout } from 'node:timers/promises';
import type { Client } from 'pg';
import { ORDER_BODY } from './contestant.ts';
import { service } from './contestants.ts';
import { drive, type Load } from './load.ts';
import { connect } from './databases.ts';
import { withMachine, type Machine } from './machine.ts';
import { quantile } from './results.ts';
import { userHeaders } from './peers/service.ts';

const ROUNDS = 5;
const CONNECTIONS = 64;
const CREATE_SECONDS = 4;
const DRAIN_ORDERS = 10_000;

const HASHES = ['order_content_hash_v1', 'order_event_hash_v1'];
const EMPTY_BODY = `AS $$ SELECT ''::bytea $$`;
const TRAIL = ['orders_20_record_placement', 'orders_30_record_change', 'orders_40_cancel_job'];
const HANDOFF = ['orders_25_check_placed', 'orders_50_require_job'];

/** A part that is switched off for a measurement. Before and after it, the database is as migrated. */
type Variant = { name: string; off: (db: Client) => Promise<void> };

const variants: Variant[] = [
  { name: 'everything', off: async () => undefined },
  { name: 'no handoff check', off: (db) => disable(db, HANDOFF) },
  { name: 'no hashes', off: withoutHashes },
  { name: 'no trail at all', off: (db) => disable(db, [...TRAIL, ...HANDOFF]) },
];

async function disable(db: Client, triggers: string[]): Promise<void> {
  for (const name of triggers) await db.query(`ALTER TABLE orders DISABLE TRIGGER ${name}`);
}

async function withoutHashes(db: Client): Promise<void> {
  for (const definition of await definitionsOf(db)) {
    await db.query(definition.replace(/AS \$function\$[^]*\$function\$/, () => EMPTY_BODY));
  }
}

async function definitionsOf(db: Client): Promise<string[]> {
  const { rows } = await db.query<{ definition: string }>(
    'SELECT pg_get_functiondef(oid) AS definition FROM pg_proc WHERE proname = ANY($1) ORDER BY proname',
    [HASHES],
  );
  return rows.map(({ definition }) => definition);
}

async function everythingOn(db: Client, definitions: string[]): Promise<void> {
  await db.query('ALTER TABLE orders ENABLE TRIGGER USER');
  for (const definition of definitions) await db.query(definition);
}

/** Orders per second, from the moment at which all become visible until the last job has ended. */
async function drain(machine: Machine, db: Client): Promise<number> {
  const release = await service.fill(machine, DRAIN_ORDERS);
  const started = performance.now();
  await release();
  for (;;) {
    const { rowCount } = await db.query(`SELECT FROM order_jobs WHERE state < 'completed' LIMIT 1`);
    if (rowCount === 0) return DRAIN_ORDERS / ((performance.now() - started) / 1000);
    await setTimeout(20);
  }
}

function report(title: string, samples: Map<string, number[]>): void {
  process.stdout.write(`\n${title}\n`);
  const base = quantile(samples.get('everything') ?? [], 0.5);
  for (const [name, values] of samples) {
    const median = quantile(values, 0.5);
    const range = `${Math.min(...values).toFixed(0)}–${Math.max(...values).toFixed(0)}`;
    const ratio = (base / median).toFixed(2);
    process.stdout.write(
      `  ${name.padEnd(20)} ${median.toFixed(0).padStart(7)} /s  (${range})  everything is ${ratio} × this\n`,
    );
  }
}

/**
 * npm run bench trail: the cost of the trail, its hashes and the handoff check. Measures creates over HTTP with 64
 * connections, and drains of queued orders, with everything on and with one part switched off, in turns: A B C D, A B C
 * D. Prints medians with min and max, and the ratio to "everything".
 */
export async function measureTrailCost(): Promise<void> {
  await withMachine(async (machine) => {
    const { databaseUrl } = await machine.service(service.database);
    const db = await connect(databaseUrl);
    const creates = await measureCreates(machine, db);
    const drains = await measureDrains(machine, db);
    await db.end();
    process.stdout.write(
      `${cpus().length} × ${cpus()[0]?.model ?? '?'}, Node ${process.version}\n`,
    );
    const size = `${ROUNDS} × ${CREATE_SECONDS} s each`;
    report(`POST /orders, ${CONNECTIONS} connections, ${size}`, creates);
    report(`Drain of ${DRAIN_ORDERS} orders, ${ROUNDS} times each`, drains);
  });
}

async function measureCreates(machine: Machine, db: Client): Promise<Map<string, number[]>> {
  const { env } = await machine.service(service.database);
  const api = await machine.start('api', 'src/api.ts', env('api'));
  const load: Load = {
    urls: [`${api.origin}/orders`],
    method: 'POST',
    headers: await userHeaders(api.origin),
    body: ORDER_BODY,
    connections: CONNECTIONS,
    seconds: CREATE_SECONDS,
    status: 201,
  };
  await drive(load); // warms up
  const creates = await measureVariants(db, async () => (await drive(load)).perSecond);
  // Otherwise the worker would drain the orders of the creates too.
  await db.query(`UPDATE orders SET status = 'CANCELLED' WHERE status = 'PENDING'`);
  return creates;
}

async function measureDrains(machine: Machine, db: Client): Promise<Map<string, number[]>> {
  const { env } = await machine.service(service.database);
  await machine.start('worker', 'src/worker.ts', env('worker'));
  await drain(machine, db); // warms up
  return measureVariants(db, () => drain(machine, db));
}

/** Measures every variant in every round. Returns the samples of each. */
async function measureVariants(
  db: Client,
  measure: () => Promise<number>,
): Promise<Map<string, number[]>> {
  const definitions = await definitionsOf(db);
  const samples = new Map(variants.map(({ name }): [string, number[]] => [name, []]));
  for (let round = 0; round < ROUNDS; round += 1) {
    for (const { name, off } of variants) {
      await off(db);
      samples.get(name)?.push(await measure());
      await everythingOn(db, definitions);
    }
  }
  return samples;
}
