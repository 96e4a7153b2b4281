/*
 * Places orders at given times, whether or not the earlier ones have been answered, and reads from the database
 * when each is COMPLETED (watch.ts). Time runs from when the order should have been sent: if this process or the
 * API is late, that counts (no coordinated omission).
 */
import { Agent, request } from 'node:http';
import { answerWith } from './child.ts';
import { openWatch, type Watch } from './watch.ts';

const TICK_MS = 1;
const IDLE_MS = 2000;

export type Paced = {
  url: string;
  headers: Record<string, string>;
  body: string;
  /** When to send each order, in milliseconds from the start. */
  dueMs: number[];
  /** Where the orders are read from. */
  databaseUrl: string;
  /** The pause between two reads. */
  watchPauseMs: number;
  /** How long after the last answer the last orders may take. */
  patienceMs: number;
};

/**
 * Milliseconds from due to answered, and to seen as COMPLETED; infinite for an order that was not. `watchCpuShare`:
 * what reading has cost Postgres, as a share of one core.
 */
export type PacedResult = { answered: number[]; completed: number[]; watchCpuShare: number };

answerWith(async (paced: Paced): Promise<PacedResult> => {
  const watch = await openWatch(paced.databaseUrl, paced.watchPauseMs);
  const startedAt = performance.now();
  const cpuAtStart = watch.serverCpuSeconds();
  const placed = await placeAll(paced, watch);
  await watch.untilAllSeen(paced.patienceMs);
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
  // The server hangs up on a connection that was idle for 5 s, which must not meet a request on its way.
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
