/*
 * The load generator: a child process that gets a Load, sends it, and returns a LoadResult. It uses autocannon, which
 * takes about 45 µs of CPU for a request. The histogram of autocannon has whole milliseconds only, so this module keeps
 * the latencies itself.
 */
import { randomUUID } from 'node:crypto';
import autocannon from 'autocannon';
import { replyWith } from './child.ts';
import type { Load, LoadResult } from './load.ts';
import { quantile } from './results.ts';

/** Time to connect and to warm up this process. It does not count. */
const LEAD_IN_SECONDS = 0.5;
const ANSWER_TIMEOUT_SECONDS = 30;

/** More keys than requests. If there are too few, the run fails. */
const KEYS_PER_SECOND = 10_000;

function send(load: Load): Promise<LoadResult> {
  return new Promise((resolve, reject) => {
    const latencies: number[] = [];
    let total = 0;
    let startedAt = Number.POSITIVE_INFINITY;
    let cpuAtStart = process.cpuUsage();
    let unexpected: string | undefined;
    const options = optionsOf(load, {
      onBody(body) {
        if (unexpected) reject(new Error(`${unexpected}: ${body.slice(0, 500)}`));
      },
      onKeysUsedUp: () => reject(new Error('The load generator has used up its keys')),
    });
    const instance = autocannon(options, () =>
      reject(new Error('The load generator ended too early')),
    );
    instance.on('response', (_client, status, _bytes, ms) => {
      if (status !== load.status) unexpected = `${load.method} ${load.urls[0]} answered ${status}`;
      else if (performance.now() >= startedAt) latencies.push(ms);
      total += 1;
    });
    instance.on('reqError', (error: Error) => reject(error));
    setTimeout(() => {
      startedAt = performance.now();
      cpuAtStart = process.cpuUsage();
    }, LEAD_IN_SECONDS * 1000);
    setTimeout(
      () => resolve({ total, ...resultOf(latencies, performance.now() - startedAt, cpuAtStart) }),
      (LEAD_IN_SECONDS + load.seconds) * 1000,
    );
  });
}

type Calls = { onBody: (body: string) => void; onKeysUsedUp: () => void };

function optionsOf(load: Load, { onBody, onKeysUsedUp }: Calls): autocannon.Options {
  const { urls, method, headers, body, connections, seconds, keyed = false } = load;
  const keys = Math.ceil((KEYS_PER_SECOND * (LEAD_IN_SECONDS + seconds)) / connections);
  return {
    url: urls as unknown as string, // it accepts several URLs, but its types do not
    method,
    headers,
    ...(body !== undefined && { body }),
    connections,
    ...(keyed && { setupClient: (client) => giveKeys(client, keys, onKeysUsedUp) }),
    duration: LEAD_IN_SECONDS + seconds + 60, // the caller ends it before
    timeout: ANSWER_TIMEOUT_SECONDS,
    verifyBody(answer) {
      onBody(String(answer));
      return true;
    },
  };
}

// The requests are built before the first one is sent, because building one costs as much CPU as sending one.
function giveKeys(client: autocannon.Client, keys: number, onUsedUp: () => void): void {
  const requests = Array.from({ length: keys }, () => ({
    headers: { 'idempotency-key': randomUUID() },
  }));
  client.setRequests(requests);
  let left = keys;
  client.on('response', () => {
    left -= 1;
    if (left === 0) onUsedUp();
  });
}

function resultOf(
  latencies: number[],
  ms: number,
  cpuAtStart: NodeJS.CpuUsage,
): Omit<LoadResult, 'total'> {
  const { user, system } = process.cpuUsage(cpuAtStart);
  const seconds = ms / 1000;
  return {
    requests: latencies.length,
    seconds,
    perSecond: latencies.length / seconds,
    p50: quantile(latencies, 0.5),
    p95: quantile(latencies, 0.95),
    p99: quantile(latencies, 0.99),
    max: quantile(latencies, 1),
    cpuSeconds: (user + system) / 1e6,
  };
}

replyWith(send);
