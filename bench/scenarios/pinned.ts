/*
 * Does a forgotten transaction make the service slow? For three minutes a session holds a snapshot, so vacuum cannot
 * remove dead row versions, while orders are created and completed as fast as possible. Then creates and completions
 * are measured, in turns with a database without an open transaction. That database has had no load before, so its
 * tables are small, which is an advantage for it.
 */
import { setTimeout } from 'node:timers/promises';
import type { QueueContestant } from '../contestant.ts';
import { service } from '../contestants.ts';
import { connect } from '../databases.ts';
import type { Machine } from '../machine.ts';
import { serviceContestant } from '../peers/service.ts';
import { inTurn, type Context, type Scenario } from '../scenario.ts';
import { CONNECTIONS, createFor, drainSome, SPARE_ORDERS } from './backlog.ts';
import { create } from './create.ts';

/** The load takes two of the three minutes. The measurement of both sides takes the third. */
const LOAD_SECONDS = 120;
const LOAD_SECONDS_QUICK = 2;
const SLICE_SECONDS = 5;

const ROUNDS = 3;
const POLL_MS = 200;

/** A round: the seconds of creates, and the orders of the drain, to warm up on and to measure. */
const SIZE = { seconds: 4, skip: 4_000, count: 16_000 };
const SIZE_QUICK = { seconds: 1, skip: 1_000, count: 3_000 };

export const CREATE_PINNED = `create while a transaction stays open, ${CONNECTIONS} connections`;
export const DRAIN_PINNED = 'drain while a transaction stays open';
export const PINNED = `${service.name}, open for 3 minutes`;
export const NOT_PINNED = `${service.name}, none open`;

type Side = { name: string; contestant: QueueContestant };

/** The name of the side with the transaction in a quick run, which is shorter than three minutes. */
const PINNED_BRIEFLY = `${service.name}, open for some seconds`;

const pinnedSide: Side = {
  name: PINNED,
  contestant: serviceContestant({ name: 'This service, pinned', database: 'orders_pinned' }),
};
const otherSide: Side = {
  name: NOT_PINNED,
  contestant: serviceContestant({ name: 'This service, not pinned', database: 'orders_unpinned' }),
};

async function run({ machine, results, quick, say }: Context): Promise<void> {
  const sides = [quick ? { ...pinnedSide, name: PINNED_BRIEFLY } : pinnedSide, otherSide];
  const unpin = await pin(machine);
  try {
    await loadPinned(machine, quick ? LOAD_SECONDS_QUICK : LOAD_SECONDS, say);
    for (let round = quick ? 1 : 0; round <= (quick ? 1 : ROUNDS); round += 1) {
      for (const { name, contestant } of inTurn(sides, round)) {
        say(round === 0 ? `warm-up, ${name}` : `round ${round}, ${name}`);
        const size = quick || round === 0 ? SIZE_QUICK : SIZE;
        const created = await createFor(machine, contestant, size.seconds);
        const release = await contestant.fill(machine, size.skip + size.count + SPARE_ORDERS);
        await release();
        await machine.checkpoint();
        const completed = await drainSome(machine, contestant, size);
        if (round === 0) continue;
        results.add(CREATE_PINNED, name, 'throughput', '/s', created);
        results.add(DRAIN_PINNED, name, 'throughput', '/s', completed);
      }
    }
    for (const { name, contestant } of sides) {
      results.add(DRAIN_PINNED, name, 'dead row versions', '', await deadRows(machine, contestant));
    }
  } finally {
    await unpin();
  }
}

/** Opens a transaction with a snapshot, like a report or a forgotten psql. Returns a function that ends it. */
async function pin(machine: Machine): Promise<() => Promise<void>> {
  const { databaseUrl } = await machine.service(pinnedSide.contestant.database);
  const db = await connect(databaseUrl);
  await db.query('BEGIN ISOLATION LEVEL REPEATABLE READ');
  await db.query('SELECT count(*) FROM orders');
  return () => db.end();
}

/** Creates orders for three quarters of the time, while a worker completes them. Then the worker completes the rest. */
async function loadPinned(machine: Machine, seconds: number, say: Context['say']): Promise<void> {
  const { contestant } = pinnedSide;
  const end = performance.now() + seconds * 1000;
  const api = await contestant.api(machine);
  const worker = await contestant.worker(machine);
  try {
    while (performance.now() < end - (seconds * 1000) / 4) {
      await create(machine, [api], {
        connections: CONNECTIONS,
        seconds: Math.min(seconds, SLICE_SECONDS),
      });
      say(`load beside the open transaction, ${Math.round((end - performance.now()) / 1000)} s`);
    }
    while (performance.now() < end && (await contestant.left(machine)) > 0) {
      await setTimeout(POLL_MS);
    }
  } finally {
    await worker.stop();
    await api.stop();
  }
}

async function deadRows(machine: Machine, { database }: QueueContestant): Promise<number> {
  const sql = `SELECT sum(n_dead_tup)::int AS dead FROM pg_stat_user_tables`;
  return (await machine.query<{ dead: number }>(sql, database))[0]?.dead ?? 0;
}

export const pinned: Scenario = { name: 'pinned', run };
