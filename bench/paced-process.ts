/*
 * Places orders at given times, even if earlier orders have no reply yet, and reads from the database when each is
 * COMPLETED (watch.ts). The time of an order starts when it is due. So a delay of this process or of the API counts (no
 * coordinated omission).
 */
import { Agent, request } from 'node:http';
import { replyWith } from './child.ts';
import { openWatch, type Watch } from './watch.ts';

const TICK_MS = 1;
const IDLE_MS = 2000;

/** Orders to place at given times. */
export type Paced = {
  url: string;
  headers: Record<string, string>;
  body: string;
  /** When to send each order, in milliseconds from the start. */
  dueMs: number[];
  /** The database that the orders are read from. */
  databaseUrl: string;
  /** The pause between two reads of the open orders. */
  watchPauseMs: number;
  /** How long the last orders may take after the last reply. */
  timeoutMs: number;
};

/**
 * For each order, the milliseconds from due to replied, and from due to seen as COMPLETED; infinite for an order that
 * was never seen as COMPLETED. `watchCpuShare` is the CPU time that Postgres spent on reading, as a share of one core.
 */
export type PacedResult = { answered: number[]; completed: number[]; watchCpuShare: number };

replyWith(async (paced: Paced): Promise<PacedResult> => {
  const watch = await openWatch(paced.databaseUrl, paced.watchPauseMs);
  const startedAt = performance.now();
  const cpuAtStart = watch.serverCpuSeconds();
  const placed = await placeAll(paced, watch);
  await watch.untilAllSeen(paced.timeoutMs);
  const seconds = (performance.now() - startedAt) / 1000;
  const watchCpuShare = (watch.serverCpuSeconds() - cpuAtStart) / seconds;
  await watch.close();
  return {
    answered: placed.map(({ dueAt, answeredAt }) => answeredAt - dueAt),
    completed: placed.map(
      ({ id, dueAt }) => (watch.seenAt(id) ?? Number.POSITIVE_INFINITY) - dueAt,
    ),
    watchCpuShare,
  };
});

type Placed = { id: string; dueAt: number; answeredAt: number };

async function placeAll(paced: Paced, watch: Watch): Promise<Placed[]> {
  // The server closes a connection that was idle for 5 s. This agent closes it after 2 s, so no request is sent on a
  // connection that the server is closing.
  const agent = new Agent({ keepAlive: true, timeout: IDLE_MS });
  const startedAt = performance.now();
  const sent: Promise<Placed>[] = [];
  for (const ms of paced.dueMs) {
    const dueAt = startedAt + ms;
    while (performance.now() < dueAt) await pause(TICK_MS);
    const answer = place(paced, agent).then((id) => {
      watch.add(id);
      return { id, dueAt, answeredAt: performance.now() };
    });
    answer.catch(() => undefined); // `Promise.all` below reports it
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
