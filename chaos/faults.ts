import { Client } from 'pg';
import type { Clients } from './clients.ts';
import type { KeptProcess } from './kept-process.ts';
import type { Machine } from './machine.ts';
import type { Fault, Scheduled } from './schedule.ts';

const CRASH_TIMEOUT_MS = 60_000;

/** A fault and when it happened: null when a process never came to the point where it was to crash. */
export type Injected = Scheduled & { happenedAt: number | null };

/** Injects a fault, and waits until it is over. */
export async function inject(
  machine: Machine,
  clients: Clients,
  fault: Scheduled,
): Promise<Injected> {
  const startedAt = Date.now();
  const crashedAt = await act(machine, clients, fault);
  return { ...fault, happenedAt: crashedAt === undefined ? startedAt : crashedAt };
}

/** Resolves to when it took hold, where that is not at once. */
async function act(
  { apis, workers, postgres, redis }: Machine,
  clients: Clients,
  fault: Fault,
): Promise<number | null | void> {
  switch (fault.kind) {
    case 'kill-api':
      return pick(apis, fault.target).kill();
    case 'kill-worker':
      return pick(workers, fault.target).kill();
    case 'freeze-api':
      return pick(apis, fault.target).freeze(fault.pauseMs);
    case 'freeze-worker':
      return pick(workers, fault.target).freeze(fault.pauseMs);
    case 'crash-api':
      return pick(apis, fault.target).crash(fault, CRASH_TIMEOUT_MS);
    case 'crash-worker':
      return pick(workers, fault.target).crash(fault, CRASH_TIMEOUT_MS);
    case 'kill-redis':
      return redis.restart(fault.downMs);
    case 'restart-postgres':
      return postgres.restart('fast', fault.downMs);
    case 'crash-postgres':
      return postgres.restart('immediate', fault.downMs);
    case 'cut-all-connections':
      return postgres.whileUp(() => cutConnections(postgres.url, 1));
    case 'cut-some-connections':
      return postgres.whileUp(() => cutConnections(postgres.url, fault.share));
    case 'client-breaks-connections':
      return clients.breakConnections();
    case 'client-times-out':
      return clients.hurry(fault.requests, fault.timeoutMs);
  }
}

function pick(processes: KeptProcess[], target: number): KeptProcess {
  const found = processes[target];
  if (!found) throw new Error(`there is no process ${target}`);
  return found;
}

async function cutConnections(url: string, share: number): Promise<void> {
  const client = new Client(url);
  await client.connect();
  try {
    await client.query(
      `SELECT pg_terminate_backend(pid)
       FROM (
         SELECT pid, percent_rank() OVER (ORDER BY pid) AS rank
         FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()
       ) AS others
       WHERE rank <= $1`,
      [share],
    );
  } finally {
    await client.end();
  }
}
