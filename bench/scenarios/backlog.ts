/*
 * Does a long queue make the service slow? Measures creates and completions in a database with a million queued orders,
 * and in one with an empty queue.
 */
import { timeCompletions } from '../completions.ts';
import type { Contestant, QueueContestant } from '../contestant.ts';
import { service } from '../contestants.ts';
import { fillQueue } from '../fill.ts';
import { connect } from '../databases.ts';
import type { Machine } from '../machine.ts';
import { serviceContestant } from '../peers/service.ts';
import { inTurn, type Context, type Scenario } from '../scenario.ts';
import { create } from './create.ts';

const QUEUED = 1_000_000;
const QUEUED_QUICK = 20_000;

/** The orders that a worker warms up on, and the orders that are measured. */
const DRAINED = { skip: 4_000, count: 24_000 };
const DRAINED_QUICK = { skip: 500, count: 1_500 };

const VERIFIED_ORDERS = 500;

/** Additional queued orders, so the worker is busy until the measurement ends. */
export const SPARE_ORDERS = 6_000;

const CREATE_SECONDS = 3;

/** The connections of the load generator, for creates. */
export const CONNECTIONS = 64;

export const CREATE_WITH_BACKLOG = `create with a backlog, ${CONNECTIONS} connections`;
export const DRAIN_WITH_BACKLOG = 'drain with a backlog';
const longQueue = (orders: number) =>
  `${service.name}, ${orders.toLocaleString('en')} orders queued`;
export const LONG_QUEUE = longQueue(QUEUED);
export const EMPTY_QUEUE = `${service.name}, queue empty`;

/** The service in a database of its own. With `isEmptied`, the database is emptied before each measurement. */
type Side = { name: string; contestant: QueueContestant; isEmptied: boolean };

const sidesWith = (queued: number): Side[] => [
  {
    name: longQueue(queued),
    contestant: serviceContestant({ name: 'This service, backlog', database: 'orders_backlog' }),
    isEmptied: false,
  },
  {
    name: EMPTY_QUEUE,
    contestant: serviceContestant({ name: 'This service, no backlog', database: 'orders_empty' }),
    isEmptied: true,
  },
];

async function run({ machine, results, quick, rounds, say }: Context): Promise<void> {
  const drained = quick ? DRAINED_QUICK : DRAINED;
  const queued = quick ? QUEUED_QUICK : QUEUED;
  const sides = sidesWith(queued);
  await queueMany(machine, 'orders_backlog', queued, say);
  for (let round = quick ? 1 : 0; round <= rounds; round += 1) {
    for (const { name, contestant, isEmptied } of inTurn(sides, round)) {
      say(round === 0 ? `warm-up, ${name}` : `round ${round} of ${rounds}, ${name}`);
      if (isEmptied) await contestant.clear(machine);
      const created = await createFor(
        machine,
        contestant,
        quick || round === 0 ? 1 : CREATE_SECONDS,
      );
      if (isEmptied) await refill(machine, contestant, drained.skip + drained.count + SPARE_ORDERS);
      await machine.checkpoint();
      const completed = await drainSome(machine, contestant, drained);
      if (round === 0) continue;
      results.add(CREATE_WITH_BACKLOG, name, 'throughput', '/s', created);
      results.add(DRAIN_WITH_BACKLOG, name, 'throughput', '/s', completed);
    }
  }
}

/** Starts an API, warms it up, and measures created orders per second. */
export async function createFor(
  machine: Machine,
  contestant: Contestant,
  seconds: number,
): Promise<number> {
  const api = await contestant.api(machine);
  try {
    await create(machine, [api], { connections: CONNECTIONS, seconds: 1 });
    return (await create(machine, [api], { connections: CONNECTIONS, seconds })).perSecond;
  } finally {
    await api.stop();
  }
}

async function refill(
  machine: Machine,
  { clear, fill }: QueueContestant,
  orders: number,
): Promise<void> {
  await clear(machine);
  const release = await fill(machine, orders);
  await release();
}

/** Starts a worker and measures completed orders per second. */
export function drainSome(
  machine: Machine,
  { database, worker }: QueueContestant,
  drained: typeof DRAINED,
): Promise<number> {
  return timeCompletions(machine, database, drained, async () => [await worker(machine)]);
}

async function queueMany(
  machine: Machine,
  database: string,
  orders: number,
  say: Context['say'],
): Promise<void> {
  const { databaseUrl } = await machine.service(database);
  const db = await connect(databaseUrl);
  try {
    await fillQueue(db, orders, (done) => say(`queueing ${orders} orders: ${done}`));
  } finally {
    await db.end();
  }
}

/** Queues orders as for a long queue, and checks that a worker completes them. Throws when it does not. */
export async function verifyBacklog(machine: Machine): Promise<void> {
  const contestant = serviceContestant({ name: service.name, database: 'orders_backlog' });
  await queueMany(machine, 'orders_backlog', VERIFIED_ORDERS, () => undefined);
  await drainSome(machine, contestant, { skip: 0, count: VERIFIED_ORDERS });
}

export const backlog: Scenario = { name: 'backlog', run };
