import { setTimeout } from 'node:timers/promises';
import type { Api } from './contestant.ts';
import type { LoadResult } from './load.ts';
import type { Machine } from './machine.ts';
import type { Results } from './results.ts';

const BACKENDS_ENDED_MS = 300;

export const ORDER_COST = 'cost of an order, 64 connections';

type Counters = { wal_bytes: number; commits: number; orders: number };

/** Whom to measure, and how. */
export type Measured = {
  name: string;
  database: string;
  open: () => Promise<Api>;
  load: (api: Api) => Promise<LoadResult>;
};

/**
 * Adds WAL bytes, commits and CPU per order to the results. The counters of the whole cluster will do, as
 * only one contestant works at a time. A backend reports its commits when it ends, and otherwise up to ten
 * seconds late: so the API is started for this, and stopped before the counters are read again.
 */
export async function addOrderCost(
  machine: Machine,
  results: Results,
  { name, database, open, load }: Measured,
): Promise<void> {
  const before = await readCounters(machine, database);
  const api = await open();
  await load(api); // warms up
  const costsBefore = machine.costs();
  const { total } = await load(api);
  const costs = machine.costs();
  await api.stop();
  await setTimeout(BACKENDS_ENDED_MS);
  const after = await readCounters(machine, database);

  const add = (measure: string, unit: string, value: number) =>
    results.add(ORDER_COST, name, measure, unit, value);
  const orders = after.orders - before.orders;
  add('WAL', 'bytes', (after.wal_bytes - before.wal_bytes) / orders);
  add('commits', '', (after.commits - before.commits) / orders);
  const cpuMs = (of: string) =>
    ((costs.get(of)?.cpuSeconds ?? 0) - (costsBefore.get(of)?.cpuSeconds ?? 0)) * 1000;
  const servers = cpuMs('Postgres') + cpuMs('Redis');
  const all = [...costs.keys()].reduce((sum, of) => sum + cpuMs(of), 0);
  add('CPU of the API', 'ms', (all - servers) / total);
  add('CPU of Postgres and Redis', 'ms', servers / total);
}

async function readCounters(machine: Machine, database: string): Promise<Counters> {
  const [counters] = await machine.query<Counters>(
    `SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::float8 AS wal_bytes,
       (SELECT sum(xact_commit)::float8 FROM pg_stat_database) AS commits,
       (SELECT count(*)::int FROM orders) AS orders`,
    database,
  );
  if (!counters) throw new Error('an aggregate has one row');
  return counters;
}
