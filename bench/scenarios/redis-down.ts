import { setTimeout } from 'node:timers/promises';
import { ReadableError } from '../../src/process.ts';
import type { Api } from '../contestant.ts';
import { service } from '../contestants.ts';
import { bullmq } from '../peers/bullmq.ts';
import { serviceContestant } from '../peers/service.ts';
import type { Context, Scenario } from '../scenario.ts';
import { addLoad, create } from './create.ts';

const CONNECTIONS = 64;
const REQUESTS = 20;
const ANSWER_TIMEOUT_MS = 2000;
const POLL_MS = 5;
const RECONNECT_MS = 1500; // until all processes are connected to Redis again

const CREATE_WITHOUT_REDIS = `create, ${CONNECTIONS} connections, without Redis`;
const ANSWERED_WITHOUT_REDIS = 'orders answered within 2 s, without Redis';
const COMPLETED_WITHOUT_REDIS = 'POST → COMPLETED, idle, without Redis';

const contestant = serviceContestant({ name: service.name, database: 'orders_without_redis' });

/** The percentage of orders with a reply in time. */
async function answeredPercent({ origin, path, headers, body }: Api): Promise<number> {
  const answers = Array.from({ length: REQUESTS }, () =>
    fetch(`${origin}${path}`, {
      method: 'POST',
      headers,
      body,
      signal: AbortSignal.timeout(ANSWER_TIMEOUT_MS),
    }).then(
      ({ status }) => status === 201,
      () => false,
    ),
  );
  const answered = (await Promise.all(answers)).filter(Boolean);
  return (100 * answered.length) / REQUESTS;
}

/** Milliseconds from sending an order until the API, polled again and again, shows it as COMPLETED. */
async function msToCompleted({ origin, path, headers, body }: Api): Promise<number> {
  const started = performance.now();
  const answer = await fetch(`${origin}${path}`, { method: 'POST', headers, body });
  if (answer.status !== 201) throw new ReadableError(`POST ${path} answered ${answer.status}`);
  const { id } = (await answer.json()) as { id: string };
  for (;;) {
    const order = await fetch(`${origin}${path}/${id}`, { headers });
    const { status } = (await order.json()) as { status: string };
    if (status === 'COMPLETED') return performance.now() - started;
    await setTimeout(POLL_MS);
  }
}

async function run({ machine, results, quick, rounds, say }: Context): Promise<void> {
  const seconds = quick ? 1 : 2;
  const load = { connections: CONNECTIONS, seconds };
  const api = await contestant.api(machine);
  const peer = await bullmq.api(machine);
  await create(machine, [api], load); // warms up
  for (let round = 1; round <= rounds; round += 1) {
    say(`round ${round} of ${rounds}`);
    const withRedis = await create(machine, [api], load);
    addLoad(results, CREATE_WITHOUT_REDIS, `${service.name}, with Redis`, withRedis);
    await machine.withoutRedis(async () => {
      const without = await create(machine, [api], load);
      addLoad(results, CREATE_WITHOUT_REDIS, `${service.name}, without Redis`, without);
      for (const [name, of] of [
        [service.name, api],
        [bullmq.name, peer],
      ] as const) {
        const percent = await answeredPercent(of);
        results.add(ANSWERED_WITHOUT_REDIS, name, 'answered', '%', percent);
      }
    });
    await setTimeout(RECONNECT_MS);
  }
  await api.stop();
  await peer.stop();
  await addCompleted({ machine, results, quick, rounds, say });
}

/** Measures the time to COMPLETED in a database of its own, where the queue is empty. */
async function addCompleted({ machine, results, quick, say }: Context): Promise<void> {
  say('POST → COMPLETED');
  const idle = serviceContestant({ name: service.name, database: 'orders_by_polling' });
  const api = await idle.api(machine);
  const worker = await idle.worker?.(machine);
  await machine.withoutRedis(async () => {
    for (let order = 0; order < (quick ? 5 : 20); order += 1) {
      await setTimeout(Math.random() * 1000); // no fixed distance from the poll
      results.add(COMPLETED_WITHOUT_REDIS, service.name, 'time', 'ms', await msToCompleted(api));
    }
  });
  await worker?.stop();
  await api.stop();
}

export const redisDown: Scenario = { name: 'redis-down', run };
