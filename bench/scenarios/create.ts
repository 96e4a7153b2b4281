import type { Api, Contestant } from '../contestant.ts';
import { bareHttp, contestants, httpCeiling, service } from '../contestants.ts';
import { drive, type LoadResult } from '../load.ts';
import type { Machine } from '../machine.ts';
import { addOrderCpu, addOrderWrites } from '../order-cost.ts';
import { DIRECT_SQL, placeDirectly } from '../peers/direct-sql.ts';
import { quantile, type Results } from '../results.ts';
import { inTurn, type Context, type Scenario } from '../scenario.ts';

const CONNECTIONS = [1, 16, 64, 256];

/** How long a contestant is measured in a round: the longer, the more goals depend on it. */
const secondsAt = (connections: number) => (connections === 64 ? 3 : 1.5);

/** Where the CPU of an order is measured, too. */
const COST_CONNECTIONS = 64;

/** Those without a database are measured at fewer: they are no choice, and show what HTTP costs. */
const BOUNDS = new Map([
  [httpCeiling, [1, 64, 256]],
  [bareHttp, [64, 256]],
]);

/** What the scenario is called at this number of connections. */
export const createAt = (connections: number) =>
  `create, ${connections} connection${connections === 1 ? '' : 's'}`;

export const WITH_KEY = `${service.name}, with an Idempotency-Key`;

/** A contestant's API, and at how many connections it is measured. */
type Entry = {
  name: string;
  contestant: Contestant;
  api: Api;
  keyed: boolean;
  connections: number[];
};

async function openEntries(machine: Machine): Promise<Entry[]> {
  const entries: Entry[] = [];
  for (const contestant of contestants) {
    const api = await contestant.api(machine);
    const connections = BOUNDS.get(contestant) ?? CONNECTIONS;
    entries.push({ name: contestant.name, contestant, api, keyed: false, connections });
    if (contestant === service) {
      entries.push({ name: WITH_KEY, contestant, api, keyed: true, connections: [64, 256] });
    }
  }
  return entries;
}

/** Places orders, after the pages that others have left dirty are written. */
export async function create(machine: Machine, apis: Api[], size: LoadSize): Promise<LoadResult> {
  await machine.checkpoint();
  return send(apis, size);
}

type LoadSize = { connections: number; seconds: number; keyed?: boolean };

function send(apis: Api[], { connections, seconds, keyed = false }: LoadSize): Promise<LoadResult> {
  const [{ headers, body } = { headers: {}, body: '' }] = apis;
  const urls = apis.map(({ origin, path }) => `${origin}${path}`);
  return drive({ urls, method: 'POST', headers, body, connections, seconds, keyed, status: 201 });
}

/** Adds throughput and latencies to the results. */
export function addLoad(
  results: Results,
  scenario: string,
  contestant: string,
  { perSecond, p50, p95, p99 }: Pick<LoadResult, 'perSecond' | 'p50' | 'p95' | 'p99'>,
): void {
  results.add(scenario, contestant, 'throughput', '/s', perSecond);
  results.add(scenario, contestant, 'p50', 'ms', p50);
  results.add(scenario, contestant, 'p95', 'ms', p95);
  results.add(scenario, contestant, 'p99', 'ms', p99);
}

async function run({ machine, results, quick, rounds, say }: Context): Promise<void> {
  const entries = await openEntries(machine);
  for (const { name, api, keyed } of quick ? [] : entries) {
    say(`warm-up, ${name}`);
    await create(machine, [api], { connections: 64, seconds: 1, keyed });
  }
  for (let round = 1; round <= rounds; round += 1) {
    for (const connections of quick ? [64] : CONNECTIONS) {
      say(`round ${round} of ${rounds}, ${createAt(connections)}`);
      const seconds = quick ? 1 : secondsAt(connections);
      const turns = entries
        .filter(({ connections: wanted }) => wanted.includes(connections))
        .map((entry) => async () => {
          const load = await createCosted(machine, results, entry, { connections, seconds });
          addLoad(results, createAt(connections), entry.name, load);
        });
      if (connections === 1) turns.push(() => addDirectSql(machine, results, seconds));
      for (const turn of inTurn(turns, round)) await turn();
    }
  }
  for (const { api } of entries) await api.stop();
  for (const { name, contestant, keyed } of entries) {
    const { database } = contestant;
    if (!database || (quick && name !== service.name)) continue;
    say(`what an order writes, ${name}`);
    const size = { connections: COST_CONNECTIONS, seconds: 2, keyed };
    const load = (api: Api) => create(machine, [api], size);
    const open = () => contestant.api(machine);
    await addOrderWrites(machine, results, { name, database, open, load });
  }
}

/** Places orders, and where that is to be known adds what one costs. */
async function createCosted(
  machine: Machine,
  results: Results,
  { name, contestant, api, keyed }: Entry,
  { connections, seconds }: LoadSize,
): Promise<LoadResult> {
  await machine.checkpoint(); // whose cost is not that of the orders
  const load = () => send([api], { connections, seconds, keyed });
  if (connections !== COST_CONNECTIONS) return load();
  const stores = contestant.database !== undefined;
  return addOrderCpu(machine, results, { name, api, stores }, load);
}

/** On one connection, as the anchor of latency. */
async function addDirectSql(machine: Machine, results: Results, seconds: number): Promise<void> {
  await machine.checkpoint();
  const samples = await placeDirectly(machine, { connections: 1, seconds });
  const [p50 = 0, p95 = 0, p99 = 0] = [0.5, 0.95, 0.99].map((share) => quantile(samples, share));
  addLoad(results, createAt(1), DIRECT_SQL, { perSecond: samples.length / seconds, p50, p95, p99 });
}

export const createOrders: Scenario = { name: 'create', run };
