import { randomUUID } from 'node:crypto';
import { Agent, request } from 'node:http';
import { setTimeout } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { ORDER_BODY, type Api } from './contestant.ts';
import { bareHttp, httpCeiling, service } from './contestants.ts';
import { connect } from './databases.ts';
import { withMachine, type Machine } from './machine.ts';
import { quantile } from './results.ts';

const WARM_UP = 3_000;
const IN_A_ROW = 500;
const AFTER_A_PAUSE = 40;

const agent = new Agent({ keepAlive: true });

/** Sends an order. Resolves when the reply has arrived. */
async function post({ origin, path, headers, body }: Api): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    const outgoing = request(`${origin}${path}`, { method: 'POST', agent, headers }, (response) => {
      response.resume().once('end', resolve);
    });
    outgoing.once('error', reject);
    outgoing.end(body);
  });
}

async function timed(call: () => Promise<unknown>): Promise<number> {
  const started = performance.now();
  await call();
  return performance.now() - started;
}

async function measure(name: string, call: () => Promise<unknown>): Promise<void> {
  for (let i = 0; i < WARM_UP; i += 1) await call();
  const inARow: number[] = [];
  for (let i = 0; i < IN_A_ROW; i += 1) inARow.push(await timed(call));
  const afterAPause: number[] = [];
  for (let i = 0; i < AFTER_A_PAUSE; i += 1) {
    await setTimeout(100 + Math.random() * 100);
    afterAPause.push(await timed(call));
  }
  const [hot, cold] = [inARow, afterAPause].map((times) => quantile(times, 0.5).toFixed(2));
  console.log(`${name.padEnd(40)}${hot?.padStart(7)} ms${cold?.padStart(7)} ms`);
}

/**
 * npm run bench pause: measures each part of an order twice: how long a call takes directly after another call, and
 * how long after a pause of 100 to 200 ms. After a pause the caches of the CPU are cold, so a lone order takes several
 * times as long as under load.
 */
export function measurePauses(): Promise<void> {
  return withMachine(async (machine) => {
    console.log(`${'p50'.padEnd(40)}  in a row after a pause`);
    for (const contestant of [bareHttp, httpCeiling]) {
      const api = await contestant.api(machine);
      await measure(contestant.name, () => post(api));
      await api.stop();
    }
    const redis = new Redis(machine.redisUrl);
    await measure('Redis, PING', () => redis.ping());
    redis.disconnect();

    const api = await service.api(machine);
    await measureDatabase(machine);
    await measure('POST /orders', () => post(api));
    await api.stop();
    agent.destroy();
  });
}

async function measureDatabase(machine: Machine): Promise<void> {
  const db = await connect((await machine.service()).databaseUrl);
  await measure('Postgres, SELECT 1', () => db.query({ name: 'select', text: 'SELECT 1' }));
  await db.query('CREATE TABLE written (number integer)');
  const insert = { name: 'insert', text: 'INSERT INTO written VALUES (1)' };
  await measure('Postgres, one row with its commit', () => db.query(insert));
  const { rows } = await db.query<{ id: string }>('SELECT id FROM users');
  const order = { ...(JSON.parse(ORDER_BODY) as object), currency: 'USD', metadata: {} };
  await measure('Postgres, place_orders with one order', () => {
    const batch = JSON.stringify([{ ...order, id: randomUUID(), user_id: rows[0]?.id }]);
    const text = 'SELECT placed FROM place_orders($1::jsonb, 1000, NULL)';
    return db.query({ name: 'place', text, values: [batch] });
  });
  await db.end();
}
