import { ReadableError } from '../src/process.ts';
import { runInChild } from './child.ts';
import type { Api } from './contestant.ts';
import type { Machine } from './machine.ts';
import type { Paced, PacedResult } from './paced-process.ts';

/**
 * Places orders with the service at given times, from a process of its own, and measures the time until each is
 * COMPLETED. Rejects when an order of the database is not COMPLETED at the end.
 */
export async function placePaced(
  machine: Machine,
  database: string,
  { origin, path, headers, body }: Api,
  options: Pick<Paced, 'dueMs' | 'watchPauseMs' | 'timeoutMs'>,
): Promise<PacedResult> {
  const { databaseUrl } = await machine.service(database);
  const paced: Paced = { url: `${origin}${path}`, headers, body, databaseUrl, ...options };
  const result = await runInChild<PacedResult>('paced-process.ts', paced);
  const open = await countOpen(machine, database);
  if (open > 0 || !result.completed.every(Number.isFinite)) {
    throw new ReadableError(
      `Not all of the ${options.dueMs.length} orders were seen COMPLETED in time; ${open} orders of the database are ` +
        'still not COMPLETED',
    );
  }
  return result;
}

async function countOpen(machine: Machine, database: string): Promise<number> {
  const sql = `SELECT count(*)::int AS open FROM orders WHERE status <> 'COMPLETED'`;
  return (await machine.query<{ open: number }>(sql, database))[0]?.open ?? 0;
}
