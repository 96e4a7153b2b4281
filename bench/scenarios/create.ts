import type { Api, Contestant } from '../contestant.ts';
import { bareHttp, contestants, httpCeiling, service } from '../contestants.ts';
import { drive, type LoadResult } from '../load.ts';
import type { Machine } from '../machine.ts';
import { addOrderCpu, addOrderWrites } from '../order-cost.ts';
import { DIRECT_SQL, placeDirectly } from '../peers/direct-sql.ts';
import { quantile, type Results } from '../results.ts';
import { inTurn, type Context, type Scenario } from '../scenario.ts';

const CONNECTIONS = [1, 16, 64, 256];

/** The seconds that a contestant is measured in a round. Longer at 64 connections, because most goals are about it. */
const secondsAt = (connections: number) => (connections === 64 ? 3 : 1.5);

/** The CPU of an order is measured at this number of connections. */
const COST_CONNECTIONS = 64;

/** Contestants without a database only show the cost of HTTP, so they are measured less often. */
const CONNECTIONS_OF = new Map([
  [httpCeiling, [1, 64, 256]],
  [bareHttp, [64, 256]],
]);

/** The name of the figures at this number of connections. */
export const createAt = (connections: number) =>
  `create, ${connections} connection${connections === 1 ? '' : 's'}`;

export const WITH_KEY = `${service.name}, with an Idempotency-Key`;

/** The API of a contestant, and the numbers of connections at which it is measured. */
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
    const connections = CONNECTIONS_OF.get(contestant) ?? CONNECTIONS;
    entries.push({ name: contestant.name, contestant, api, keyed: false, connections });
    if (contestant === service) {
      entries.push({ name: WITH_KEY, contestant, api, keyed: true, connections: [64, 256] });
    }
  }
  return entries;
}

/** Places orders. First writes the dirty pages of earlier measurements to disk. */
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
    say(`WAL and commits of an order, ${name}`);
    const size = { connections: COST_CONNECTIONS, seconds: 2, keyed };
    const load = (api: Api) => create(machine, [api], size);
    const open = () => contestant.api(machine);
    await addOrderWrites(machine, results, { name, database, open, load });
  }
}

/** Places orders. At 64 connections, adds the cost of an order to the results. */
async function createCosted(
  machine: Machine,
  results: Results,
  { name, contestant, api, keyed }: Entry,
  { connections, seconds }: LoadSize,
): Promise<LoadResult> {
  await machine.checkpoint(); // its cost does not count
  const load = () => send([api], { connections, seconds, keyed });
  if (connections !== COST_CONNECTIONS) return load();
  const stores = contestant.database !== undefined;
  return addOrderCpu(machine, results, { name, api, stores }, load);
}

/** Direct SQL on one connection, as the reference for latency. */
async function addDirectSql(machine: Machine, results: Results, seconds: number): Promise<void> {
  await machine.checkpoint();
  const samples = await placeDirectly(machine, { connections: 1, seconds });
  const [p50 = 0, p95 = 0, p99 = 0] = [0.5, 0.95, 0.99].map((share) => quantile(samples, share));
  addLoad(results, createAt(1), DIRECT_SQL, { perSecond: samples.length / seconds, p50, p95, p99 });
}

export const createOrders: Scenario = { name: 'create', run };
