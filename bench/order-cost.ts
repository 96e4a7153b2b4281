import { setTimeout } from 'node:timers/promises';
import type { Api } from './contestant.ts';
import type { LoadResult } from './load.ts';
import type { Machine } from './machine.ts';
import type { Results } from './results.ts';

const BACKENDS_ENDED_MS = 300;

export const ORDER_COST = 'cost of an order, 64 connections';
export const API_CPU = 'CPU of the API';
export const POSTGRES_CPU = 'CPU of Postgres';
const REDIS_CPU = 'CPU of Redis';

/**
 * Runs a load, and adds the CPU time for each order to the results: user and system time of the API process, of all
 * processes of Postgres, and of Redis, divided by the number of replies. `stores` says whether the contestant uses
 * Postgres and Redis. Nothing else may run at the same time.
 */
export async function addOrderCpu(
  machine: Machine,
  results: Results,
  { name, api, stores }: { name: string; api: Api; stores: boolean },
  load: () => Promise<LoadResult>,
): Promise<LoadResult> {
  const before = machine.costs();
  const result = await load();
  const after = machine.costs();
  const of = [[API_CPU, api.name], ...(stores ? SERVERS : [])] as const;
  for (const [measure, process] of of) {
    const seconds = (after.get(process)?.cpuSeconds ?? 0) - (before.get(process)?.cpuSeconds ?? 0);
    results.add(ORDER_COST, name, measure, 'µs', (seconds * 1e6) / result.total);
  }
  return result;
}

const SERVERS = [
  [POSTGRES_CPU, 'Postgres'],
  [REDIS_CPU, 'Redis'],
] as const;

type Counters = { wal_bytes: number; commits: number; orders: number };

/** A contestant, and the load that measures it. */
type Measured = {
  name: string;
  database: string;
  open: () => Promise<Api>;
  load: (api: Api) => Promise<LoadResult>;
};

/**
 * Adds WAL bytes and commits per order to the results. The counters are those of the whole cluster, because only one
 * contestant works at a time. A backend reports its commits when it ends, or up to ten seconds late. So the API is
 * started for this measurement, and stopped before the counters are read again.
 */
export async function addOrderWrites(
  machine: Machine,
  results: Results,
  { name, database, open, load }: Measured,
): Promise<void> {
  const before = await readCounters(machine, database);
  const api = await open();
  await load(api);
  await api.stop();
  await setTimeout(BACKENDS_ENDED_MS);
  const after = await readCounters(machine, database);
  const orders = after.orders - before.orders;
  const add = (measure: string, unit: string, value: number) =>
    results.add(ORDER_COST, name, measure, unit, value / orders);
  add('WAL', 'bytes', after.wal_bytes - before.wal_bytes);
  add('commits', '', after.commits - before.commits);
}

async function readCounters(machine: Machine, database: string): Promise<Counters> {
  const [counters] = await machine.query<Counters>(
    `SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::float8 AS wal_bytes,
       (SELECT sum(xact_commit)::float8 FROM pg_stat_database) AS commits,
       (SELECT count(*)::int FROM orders) AS orders`,
    database,
  );
  if (!counters) throw new Error('The query of the counters returned no row');
  return counters;
}
