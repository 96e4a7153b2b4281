import type { Environment } from '../../src/config/load.ts';
import type { QueueContestant } from '../contestant.ts';
import type { Machine } from '../machine.ts';
import { TASK } from './graphile-settings.ts';
import { openPeer, peerRequest, placeInBulk } from './orders.ts';

const NAME = 'Koa + graphile-worker';
const DATABASE = 'graphile';

async function open(machine: Machine): Promise<Environment> {
  const env = await openPeer(machine, DATABASE);
  const { runMigrations } = await import('graphile-worker'); // here, so that tests need no packages of the bench
  await runMigrations({ connectionString: await machine.databaseUrl(DATABASE) });
  return env;
}

const ADD_JOBS = `
  SELECT count(*) FROM graphile_worker.add_jobs((
    SELECT array_agg(ROW(
      '${TASK}', json_build_object('order_id', id), NULL, NULL, NULL, NULL, NULL, NULL
    )::graphile_worker.job_spec)
    FROM unnest($1::uuid[]) AS id
  ))`;

/** A common transactional queue in Postgres. */
export const graphile: QueueContestant = {
  name: NAME,
  database: DATABASE,
  async api(machine) {
    const env = await open(machine);
    const api = await machine.start(`${NAME}, API`, 'bench/peers/graphile-api.ts', env);
    return { ...api, ...peerRequest() };
  },
  async worker(machine) {
    const env = await open(machine);
    return machine.start(`${NAME}, worker`, 'bench/peers/graphile-worker.ts', env);
  },
  async fill(machine, orders) {
    await open(machine);
    return placeInBulk(machine, DATABASE, orders, async (db, ids) => {
      await db.query(ADD_JOBS, [ids]); // NOTIFY reaches the workers when the transaction commits
      await db.query('ANALYZE graphile_worker._private_jobs');
    });
  },
  async left(machine) {
    const jobs = 'SELECT count(*)::int AS left FROM graphile_worker._private_jobs';
    return (await machine.query<{ left: number }>(jobs, DATABASE))[0]?.left ?? 0;
  },
  async clear(machine) {
    await open(machine);
    await machine.query('TRUNCATE orders, graphile_worker._private_jobs', DATABASE);
  },
};
