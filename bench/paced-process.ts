/*
 * Places orders at given times, whether or not the earlier ones have been answered, and listens on Redis for
 * when each is COMPLETED. Time runs from when the order should have been sent: if this process or the API
 * is late, that counts (no coordinated omission).
 */
import { Agent, request } from 'node:http';
import { Redis } from 'ioredis';
import { answerWith } from './child.ts';

/** How long the last orders may take. */
const PATIENCE_MS = 10_000;
const TICK_MS = 1;
const IDLE_MS = 2000;

export type Paced = {
  url: string;
  headers: Record<string, string>;
  body: string;
  /** When to send each order, in milliseconds from the start. */
  dueMs: number[];
  redisUrl: string;
  /** Where changes of status are announced, after their commit. */
  channel: string;
};

/** Milliseconds from due to answered, and to heard of as COMPLETED; and the orders never heard of. */
export type PacedResult = { answered: number[]; completed: number[]; unheard: string[] };

answerWith(async (paced: Paced): Promise<PacedResult> => {
  const heard = new Map<string, number>();
  const redis = new Redis(paced.redisUrl);
  await redis.subscribe(paced.channel);
  redis.on('message', (_channel, message) => {
    const now = performance.now();
    for (const { id, status } of JSON.parse(message) as { id: string; status: string }[]) {
      if (status === 'COMPLETED') heard.set(id, now);
    }
  });
  const placed = await placeAll(paced);
  const deadline = performance.now() + PATIENCE_MS;
  const isUnheard = ({ id }: Placed) => !heard.has(id);
  while (placed.some(isUnheard) && performance.now() < deadline) await pause(50);
  redis.disconnect();
  const unheard = placed.filter(isUnheard).map(({ id }) => id);
  return {
    answered: placed.map(({ dueAt, answeredAt }) => answeredAt - dueAt),
    completed: placed.map(({ id, dueAt }) => (heard.get(id) ?? Number.POSITIVE_INFINITY) - dueAt),
    unheard,
  };
});

type Placed = { id: string; dueAt: number; answeredAt: number };

async function placeAll(paced: Paced): Promise<Placed[]> {
  // The server hangs up on a connection that was idle for 5 s, which must not meet a request on its way.
  const agent = new Agent({ keepAlive: true, timeout: IDLE_MS });
  const startedAt = performance.now();
  const sent: Promise<Placed>[] = [];
  for (const ms of paced.dueMs) {
    const dueAt = startedAt + ms;
    while (performance.now() < dueAt) await pause(TICK_MS);
    const answer = place(paced, agent).then((id) => ({ id, dueAt, answeredAt: performance.now() }));
    answer.catch(() => undefined); // reported below, when all are sent
    sent.push(answer);
  }
  const placed = await Promise.all(sent);
  agent.destroy();
  return placed;
}

function place({ url, headers, body }: Paced, agent: Agent): Promise<string> {
  return new Promise((resolve, reject) => {
    const outgoing = request(url, { method: 'POST', agent, headers }, (response) => {
      let answer = '';
      response.setEncoding('utf8').on('data', (chunk: string) => (answer += chunk));
      response.once('end', () => {
        if (response.statusCode === 201) resolve((JSON.parse(answer) as { id: string }).id);
        else reject(new Error(`POST ${url} answered ${response.statusCode}: ${answer}`));
      });
    });
    outgoing.once('error', reject);
    outgoing.end(body);
  });
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms);
  });
}
