/*
 * One run of the fuzz against an API: first generated requests, then raw byte streams, each with several at a time.
 */
import { Agent } from 'node:http';
import { createCheck } from './check-reply.ts';
import { choicesFor } from './choice.ts';
import { operationsOf, readDocument } from './document.ts';
import { makeRequest, type FuzzRequest, type Known } from './requests.ts';
import { sendRequest } from './send.ts';
import { bytesOf, makeStream, sendStream } from './streams.ts';

export type Options = { seed: number; requests: number; streams: number };

/** An API, and a function that returns the access token of a new customer. */
type Target = { origin: string; newToken: () => Promise<string> };

/** Something that is wrong with a reply, and the beginning of what was sent. */
type Finding = { item: string; what: string; sent: string };

type Timing = { ms: number; item: string };

export type Outcome = {
  findings: Finding[];
  /** The orders that the API has accepted. */
  accepted: Set<string>;
  statuses: Record<string, number>;
  slowest: { requests: Timing[]; streams: Timing[] };
};

const CUSTOMERS = 6;
const CONCURRENCY = 8;
const ORDERS_KEPT_MAX = 200;
const SLOWEST_KEPT = 5;
/** 5xx replies that HTTP itself asks for: to an unknown method, and to an unknown version. */
const OF_HTTP = new Set([501, 505]);

/** Runs the fuzz. `onProgress` is called after each item; when it throws, the run ends with that error. */
export async function fuzz(
  target: Target,
  { seed, requests, streams }: Options,
  onProgress: (done: number) => void = () => undefined,
): Promise<Outcome> {
  const document = await readDocument(target.origin);
  const operations = operationsOf(document);
  const check = createCheck(document);
  const agent = new Agent({ keepAlive: true, maxSockets: CONCURRENCY });
  const known: Known = { tokens: [], orderIds: [] };
  for (let number = 0; number < CUSTOMERS; number += 1) known.tokens.push(await target.newToken());
  const outcome = noOutcome();

  async function requestOnce(index: number): Promise<void> {
    const item = `request ${index}`;
    const sent = makeRequest(choicesFor(seed, index), document, operations, known);
    const reply = await sendRequest(target.origin, agent, sent);
    count(outcome, reply.status);
    const timed = `${item} ${sent.method} ${sent.path.slice(0, 100)}`;
    note(outcome.slowest.requests, { ms: reply.ms, item: timed });
    const what = check(sent, reply);
    if (what) outcome.findings.push({ item, what, sent: describe(sent) });
    if (reply.status === 201) accept(outcome, known, reply.headers.location);
    // A request may have ended the session of its customer.
    if (reply.status === 401 && sent.customer !== undefined) {
      known.tokens[sent.customer] = await target.newToken();
    }
  }

  async function streamOnce(index: number): Promise<void> {
    const item = `stream ${index}`;
    const choice = choicesFor(seed, requests + index);
    const parts = [0, 1, 2].map(() => bytesOf(makeRequest(choice, document, operations, known)));
    const bytes = makeStream(choice, parts);
    const reply = await sendStream(target.origin, bytes);
    for (const status of reply.statuses) count(outcome, status);
    note(outcome.slowest.streams, { ms: reply.ms, item });
    for (const id of reply.orderIds) accept(outcome, known, `/orders/${id}`);
    const wrong = reply.statuses.find(
      (status) => status >= 500 && status !== 503 && !OF_HTTP.has(status),
    );
    const what = reply.isOpen ? 'the connection stays open' : wrong && `status ${wrong}`;
    if (what) outcome.findings.push({ item, what, sent: bytes.toString('latin1').slice(0, 2000) });
  }

  await inParallel(requests, async (index) => {
    await requestOnce(index);
    onProgress(index + 1);
  });
  agent.destroy();
  await inParallel(streams, async (index) => {
    await streamOnce(index);
    onProgress(requests + index + 1);
  });
  return outcome;
}

async function inParallel(items: number, run: (index: number) => Promise<void>): Promise<void> {
  let next = 0;
  const work = async () => {
    for (let index = next++; index < items; index = next++) await run(index);
  };
  await Promise.all(Array.from({ length: CONCURRENCY }, work));
}

function noOutcome(): Outcome {
  const slowest = { requests: [], streams: [] };
  return { findings: [], accepted: new Set(), statuses: {}, slowest };
}

function count({ statuses }: Outcome, status: number): void {
  statuses[status] = (statuses[status] ?? 0) + 1;
}

function note(slowest: Timing[], { ms, item }: Timing): void {
  slowest.push({ ms: Math.round(ms), item });
  slowest.sort((a, b) => b.ms - a.ms).splice(SLOWEST_KEPT);
}

function accept({ accepted }: Outcome, { orderIds }: Known, location = ''): void {
  const id = /^\/orders\/(.+)$/.exec(location)?.[1];
  if (!id) return; // an account
  accepted.add(id);
  if (orderIds.length < ORDERS_KEPT_MAX) orderIds.push(id);
  else orderIds[accepted.size % ORDERS_KEPT_MAX] = id;
}

function describe({ method, path, headers, body }: FuzzRequest): string {
  return JSON.stringify({ method, path, headers, body: body?.toString('latin1').slice(0, 500) });
}
