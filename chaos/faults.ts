import { setTimeout as wait } from 'node:timers/promises';
import { Client } from 'pg';
import type { Clients } from './clients.ts';
import type { KeptProcess } from './kept-process.ts';
import type { Machine } from './machine.ts';
import type { Door, Fault, Scheduled } from './schedule.ts';

const POLL_MS = 50;
const POLLS_IN_POSTGRES = 500;

/** How long a crash stays armed, and how long to wait for a statement. Generous, because a timeout fails the run. */
const REACH_TIMEOUT_MS = 60_000;

/** A fault. `happenedAt` is null when no process reached its crash point or its statement. */
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

/**
 * Carries out a fault. Resolves with the time of a crash or of the kill of a backend, with null when it did not happen,
 * and with undefined for a fault that takes effect at once.
 */
async function act(
  { apis, workers, postgres, proxy, redis }: Machine,
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
      return pick(apis, fault.target).crash(fault, REACH_TIMEOUT_MS);
    case 'crash-worker':
      return pick(workers, fault.target).crash(fault, REACH_TIMEOUT_MS);
    case 'kill-backend':
      return killBackend(postgres, fault);
    case 'drop-results':
      return proxy.dropResults(fault.ms);
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
      return clients.shortenTimeouts(fault.requests, fault.timeoutMs);
  }
}

function pick(processes: KeptProcess[], target: number): KeptProcess {
  const found = processes[target];
  if (!found) throw new Error(`There is no process ${target}`);
  return found;
}

/**
 * Kills a backend while it runs a statement that calls the door. Resolves with the time of the kill, or null when no
 * such statement was found in time.
 */
async function killBackend(
  { url, whileUp }: Machine['postgres'],
  { door, delayMs }: { door: Door; delayMs: number },
): Promise<number | null> {
  const deadline = Date.now() + REACH_TIMEOUT_MS;
  while (Date.now() < deadline) {
    const killed = await whileUp(() => killOneBackend(url, door, delayMs)).catch(() => false);
    if (killed) return Date.now();
    await wait(POLL_MS); // Postgres may be about to be restarted
  }
  return null;
}

/** Polls from inside Postgres, because most statements end within a few milliseconds. */
function killOneBackend(url: string, door: Door, delayMs: number): Promise<boolean> {
  return withClient(url, async (client) => {
    await client.query(`SET chaos.killed = ''`);
    await client.query(`
      DO $$
      DECLARE
        victim integer;
      BEGIN
        FOR poll IN 1..${POLLS_IN_POSTGRES} LOOP
          PERFORM pg_stat_clear_snapshot();
          SELECT pid INTO victim FROM pg_stat_activity
          WHERE state = 'active' AND pid <> pg_backend_pid() AND query LIKE '%${door}(%' LIMIT 1;
          IF FOUND THEN
            PERFORM pg_sleep(${delayMs / 1000});
            PERFORM pg_terminate_backend(victim), set_config('chaos.killed', 'yes', false);
            EXIT;
          END IF;
          PERFORM pg_sleep(0.001);
        END LOOP;
      END $$`);
    const { rows } = await client.query<{ killed: string }>(
      `SELECT current_setting('chaos.killed') AS killed`,
    );
    return rows[0]?.killed === 'yes';
  });
}

async function cutConnections(url: string, share: number): Promise<void> {
  await withClient(url, (client) =>
    client.query(
      `SELECT pg_terminate_backend(pid)
       FROM (
         SELECT pid, percent_rank() OVER (ORDER BY pid) AS rank
         FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()
       ) AS others
       WHERE rank <= $1`,
      [share],
    ),
  );
}

async function withClient<T>(url: string, use: (client: Client) => Promise<T>): Promise<T> {
  const client = new Client(url);
  client.on('error', () => undefined); // the running query rejects
  await client.connect();
  try {
    return await use(client);
  } finally {
    await client.end();
  }
}
