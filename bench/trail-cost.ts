/*
 * npm run bench:trail: what the promise costs. Creates over HTTP with 64 connections, and drains of
 * queued orders, each with everything on and with one part of it switched off, in turns: A B C D, A B C
 * D. Prints medians with min and max, and the ratio to "everything".
 */
import { cpus } from 'node:os';
import { setTimeout } from 'node:timers/promises';
import type { Client } from 'pg';
import { service } from './contestants.ts';
import { drive, type Load } from './load.ts';
import { connect } from './databases.ts';
import { openMachine, type Machine } from './machine.ts';
import { quantile } from './results.ts';
import { signUp } from './peers/service.ts';

const ROUNDS = 5;
const CONNECTIONS = 64;
const CREATE_SECONDS = 4;
const DRAIN_ORDERS = 10_000;
const ORDER = JSON.stringify({ product_name: 'Book', amount: 99.0 });

const HASHES = ['order_content_hash_v1', 'order_event_hash_v1'];
const EMPTY_BODY = `AS $$ SELECT ''::bytea $$`;
const TRAIL = ['orders_20_record_placement', 'orders_30_record_change', 'orders_40_cancel_job'];
const HANDOFF = ['orders_25_check_placed', 'orders_50_require_job'];

/** What is switched off. The database is as migrated before and after. */
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

/** Orders a second, from the moment that all of them become visible until the last is settled. */
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

const emptySamples = () => new Map(variants.map(({ name }): [string, number[]] => [name, []]));

const machine = await openMachine();
const { databaseUrl, env } = await machine.service(service.database);
const db = await connect(databaseUrl);
const definitions = await definitionsOf(db);

const api = await machine.start('api', 'src/api.ts', env('api'));
const load: Load = {
  urls: [`${api.origin}/orders`],
  method: 'POST',
  headers: await signUp(api.origin),
  body: ORDER,
  connections: CONNECTIONS,
  seconds: CREATE_SECONDS,
  status: 201,
};
await drive(load); // warms up

const creates = emptySamples();
const drains = emptySamples();
for (let round = 0; round < ROUNDS; round += 1) {
  for (const { name, off } of variants) {
    await off(db);
    const { perSecond } = await drive(load);
    creates.get(name)?.push(perSecond);
    await everythingOn(db, definitions);
  }
}

// What the creates have left is taken out of the worker's way, so that it drains what is measured.
await db.query(`UPDATE orders SET status = 'CANCELLED' WHERE status = 'PENDING'`);
await machine.start('worker', 'src/worker.ts', env('worker'));
await drain(machine, db); // warms up
for (let round = 0; round < ROUNDS; round += 1) {
  for (const { name, off } of variants) {
    await off(db);
    drains.get(name)?.push(await drain(machine, db));
    await everythingOn(db, definitions);
  }
}
await db.end();
await machine.close();

process.stdout.write(`${cpus().length} × ${cpus()[0]?.model ?? '?'}, Node ${process.version}\n`);
report(`POST /orders, ${CONNECTIONS} connections, ${ROUNDS} × ${CREATE_SECONDS} s each`, creates);
report(`Drain of ${DRAIN_ORDERS} orders, ${ROUNDS} times each`, drains);
