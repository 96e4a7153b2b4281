import { ReadableError } from '../../src/process.ts';
import { service } from '../contestants.ts';
import { drive } from '../load.ts';
import type { Machine } from '../machine.ts';
import { serviceContestant, userHeaders } from '../peers/service.ts';
import type { Process } from '../process.ts';
import { inTurn, type Context, type Scenario } from '../scenario.ts';
import { addLoad } from './create.ts';

const PAGE = 20;
const SIZES = [10, 10_000, 1_000_000];
const SIZES_QUICK = [10, 1000, 50_000];
const DATABASE = 'orders_list';

export const LIST = `list, page of ${PAGE}, 1 connection`;
export const userWith = (orders: number) => `a user with ${orders.toLocaleString('en')} orders`;

const contestant = serviceContestant({ name: service.name, database: DATABASE });

type User = { orders: number; id: string; headers: Record<string, string> };

async function openUser(api: Process, orders: number): Promise<User> {
  const headers = await userHeaders(api.origin);
  const me = (await (await fetch(`${api.origin}/auth/me`, { headers })).json()) as { id: string };
  return { orders, id: me.id, headers };
}

/**
 * Gives each user this number of orders, mixed with the orders of the other users. Triggers are off, so there are no
 * events. A list does not read events.
 */
async function fillOrders(machine: Machine, users: User[]): Promise<void> {
  const most = Math.max(...users.map(({ orders }) => orders));
  const shares = users.map(({ id, orders }) => `('${id}'::uuid, ${most / orders})`).join(', ');
  await machine.query(
    `SET session_replication_role = replica;
     INSERT INTO orders (id, status, version, user_id, product_name, amount, created_at, updated_at, xact_id)
     SELECT uuidv7((n - ${most}) * interval '1 second'), 'COMPLETED', 3, u.id, 'Product ' || n % 5000,
       ((1 + n % 90000) / 100.0)::numeric(12, 2), at, at + interval '1 second', pg_current_xact_id()
     FROM generate_series(1, ${most}) AS n
     CROSS JOIN LATERAL (SELECT now() + (n - ${most}) * interval '1 second' AS at) AS placed
     JOIN (VALUES ${shares}) AS u (id, every) ON n % u.every = 0`,
    DATABASE,
  );
  await machine.query('VACUUM (ANALYZE) orders', DATABASE);
}

async function requirePage({ origin }: Process, { orders, headers }: User): Promise<void> {
  const answer = await fetch(`${origin}/orders?limit=${PAGE}`, { headers });
  const page = (await answer.json()) as { orders: unknown[] };
  const expected = Math.min(PAGE, orders);
  if (page.orders.length !== expected) {
    throw new ReadableError(
      `The page of ${userWith(orders)} has ${page.orders.length} orders instead of ${expected}`,
    );
  }
}

async function run({ machine, results, quick, rounds, say }: Context): Promise<void> {
  const seconds = quick ? 1 : 2;
  const api = await contestant.api(machine);
  const users: User[] = [];
  for (const orders of quick ? SIZES_QUICK : SIZES) users.push(await openUser(api, orders));
  say('filling the table');
  await fillOrders(machine, users);
  for (const user of users) await requirePage(api, user);
  for (let round = quick ? 1 : 0; round <= rounds; round += 1) {
    say(round === 0 ? 'warm-up' : `round ${round} of ${rounds}`);
    for (const { orders, headers } of inTurn(users, round)) {
      await machine.checkpoint();
      const urls = [`${api.origin}/orders?limit=${PAGE}`];
      const load = await drive({
        urls,
        method: 'GET',
        headers,
        connections: 1,
        seconds,
        status: 200,
      });
      if (round > 0) addLoad(results, LIST, userWith(orders), load);
    }
  }
  await api.stop();
  await machine.query(`DROP DATABASE ${DATABASE} WITH (FORCE)`);
}

export const list: Scenario = { name: 'list', run };
