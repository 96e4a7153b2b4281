/*
 * npm run conformance -- --base-url http://…: does a server of this API keep the rules of safe retries
 * (draft-ietf-httpapi-idempotency-key-header-07)? Uses nothing but HTTP: registers two users, places and
 * cancels orders of theirs, prints a line per rule and a tally. A server that limits requests is waited
 * for as its Retry-After says, aloud. Exit code 0: every rule is kept; 1: one is not; 2: could not be told.
 */
import { randomUUID } from 'node:crypto';
import { parseArgs } from 'node:util';

const USAGE = 'Usage: npm run conformance -- --base-url http://localhost:8000 [--concurrency 8]';
const EXIT_BROKEN = 1;
const EXIT_UNTOLD = 2;
const REQUEST_TIMEOUT_MS = 30_000;
const WAIT_SECONDS_MAX = 120;
const WAITS_MAX = 10;
const KEY_CHARACTERS_MAX = 255;
const PROBLEM = /^application\/problem\+json/;

type Reply = { status: number; headers: Headers; text: string };
type Target = readonly [method: string, path: string];
type User = {
  send: (target: Target, options?: { key?: string; body?: object | string }) => Promise<Reply>;
};
type Run = { ada: User; bob: User; concurrency: number };
type Rule = { title: string; check: (run: Run) => Promise<void> };

/** The server has broken a rule. */
class Broken extends Error {}
/** The check could not determine whether the server keeps the rules. */
class Untold extends Error {}

const PLACE: Target = ['POST', '/orders'];

const rules: Rule[] = [
  ...Object.entries({
    'an empty key': '',
    'an empty string': '""',
    'a string without an end': '"open',
    'words without quotes': 'two words',
    'a character outside ASCII': '"\u00e4"',
    'two keys': '"one", "two"',
    'a key of 256 characters': `"${'k'.repeat(KEY_CHARACTERS_MAX + 1)}"`,
  }).map(([what, key]) => ({
    title: `400 for ${what}, and nothing is done`,
    async check({ ada }: Run) {
      const body = newOrder();
      expectProblem(await ada.send(PLACE, { key, body }), 400);
      await expectOrders(ada, body, 0);
    },
  })),
  {
    title: 'a key of 255 characters is accepted',
    async check({ ada }) {
      const key = randomUUID().padEnd(KEY_CHARACTERS_MAX, 'k');
      expectFirst(await ada.send(PLACE, { key: `"${key}"`, body: newOrder() }), 201);
    },
  },
  {
    title: 'without a key, each request has its effect',
    async check({ ada }) {
      const body = newOrder();
      expectFirst(await ada.send(PLACE, { body }), 201);
      expectFirst(await ada.send(PLACE, { body }), 201);
      await expectOrders(ada, body, 2);
    },
  },
  {
    title: 'a retry gets status, headers and body of the first reply, says so, and has no effect',
    async check({ ada }) {
      const [key, body] = [quoted(), newOrder()];
      const first = expectFirst(await ada.send(PLACE, { key, body }), 201);
      expectReplay(await ada.send(PLACE, { key, body }), first);
      await expectOrders(ada, body, 1);
    },
  },
  {
    title: 'a key without quotes is the same key',
    async check({ ada }) {
      const [key, body] = [randomUUID(), newOrder()];
      const first = expectFirst(await ada.send(PLACE, { key, body }), 201);
      expectReplay(await ada.send(PLACE, { key: `"${key}"`, body }), first);
    },
  },
  {
    title: 'white space and the order of members do not make another body',
    async check({ ada }) {
      const [key, body] = [quoted(), newOrder()];
      const first = expectFirst(await ada.send(PLACE, { key, body }), 201);
      const reversed = Object.fromEntries(Object.entries(body).toReversed());
      expectReplay(await ada.send(PLACE, { key, body: JSON.stringify(reversed, null, 2) }), first);
    },
  },
  {
    title: 'a key with another body is refused with 422, and the first reply stays',
    async check({ ada }) {
      const [key, body, other] = [quoted(), newOrder(), newOrder()];
      const first = expectFirst(await ada.send(PLACE, { key, body }), 201);
      expectProblem(await ada.send(PLACE, { key, body: other }), 422);
      await expectOrders(ada, other, 0);
      expectReplay(await ada.send(PLACE, { key, body }), first);
    },
  },
  {
    title: 'a request that was refused leaves its key free',
    async check({ ada }) {
      const [key, body] = [quoted(), newOrder()];
      expectProblem(await ada.send(PLACE, { key, body: { ...body, amount: '-1' } }), 422);
      expectFirst(await ada.send(PLACE, { key, body }), 201);
    },
  },
  {
    title: 'the key of another user is another key',
    async check({ ada, bob }) {
      const [key, body] = [quoted(), newOrder()];
      const first = expectFirst(await ada.send(PLACE, { key, body }), 201);
      const second = expectFirst(await bob.send(PLACE, { key, body }), 201);
      expect(first.text !== second.text, 'both got the same order');
    },
  },
  {
    title: 'the key at another path, by another method, is another key',
    async check({ ada }) {
      const [key, body] = [quoted(), newOrder()];
      const first = expectFirst(await ada.send(PLACE, { key, body }), 201);
      expectFirst(await ada.send(['POST', '/orders/create'], { key, body }), 201);
      await expectOrders(ada, body, 2);
      expectNotReplayed(await ada.send(cancellationOf(first), { key }));
    },
  },
  {
    title: 'of simultaneous requests one has its effect; the others get its reply, or 409',
    async check({ ada, concurrency }) {
      const [key, body] = [quoted(), newOrder()];
      const attempt = () => ada.send(PLACE, { key, body });
      const replies = await Promise.all(Array.from({ length: concurrency }, attempt));
      const first = replies.find((reply) => reply.status === 201 && !isReplay(reply));
      if (!first) throw new Broken('nobody got the first reply');
      for (const reply of replies.filter((one) => one !== first)) {
        if (reply.status === 409) expectProblem(reply, 409);
        else expectReplay(reply, first);
      }
      await expectOrders(ada, body, 1);
      expectReplay(await attempt(), first);
    },
  },
  {
    title: 'a reply stays the same when its order has changed since',
    async check({ ada }) {
      const [key, body] = [quoted(), newOrder()];
      const first = expectFirst(await ada.send(PLACE, { key, body }), 201);
      await cancelIfInTime(ada, first);
      expectReplay(await ada.send(PLACE, { key, body }), first);
    },
  },
  {
    title: 'a retry of a cancellation gets the reply of the first',
    async check({ ada }) {
      const key = quoted();
      const [target, first] = await untilCancelled(ada, key);
      expectReplay(await ada.send(target, { key }), first);
    },
  },
];

/** The worker or the cancellation may be first, and both change the order. */
async function cancelIfInTime(user: User, placed: Reply): Promise<void> {
  const { status } = await user.send(cancellationOf(placed));
  expect(status === 200 || status === 409, `a cancellation was answered ${status}`);
}

/** Places orders until one could be cancelled before a worker took it. */
async function untilCancelled(user: User, key: string): Promise<[Target, Reply]> {
  for (let tries = 0; tries < 5; tries += 1) {
    const placed = expectFirst(await user.send(PLACE, { body: newOrder() }), 201);
    const target = cancellationOf(placed);
    const reply = await user.send(target, { key });
    if (reply.status !== 409) return [target, expectFirst(reply, 200)];
  }
  throw new Untold(
    'A worker was always faster than a cancellation: stop the workers and run it again',
  );
}

function newOrder() {
  return { product_name: `conformance ${randomUUID()}`, amount: '1.00' };
}

function quoted(): string {
  return `"${randomUUID()}"`;
}

function cancellationOf({ text }: Reply): Target {
  return ['PUT', `/orders/${String(parse(text).id)}/cancellation`];
}

function isReplay({ headers }: Reply): boolean {
  return headers.get('idempotent-replayed') === 'true';
}

function expect(holds: boolean, otherwise: string): void {
  if (!holds) throw new Broken(otherwise);
}

function expectNotReplayed(reply: Reply): void {
  expect(!isReplay(reply), 'it was answered with the reply to another request');
}

function expectFirst(reply: Reply, status: number): Reply {
  expect(reply.status === status, `it was answered ${reply.status} instead of ${status}`);
  expectNotReplayed(reply);
  return reply;
}

function expectReplay(reply: Reply, first: Reply): void {
  expect(reply.status === first.status, `it was answered ${reply.status}, then ${first.status}`);
  expect(reply.text === first.text, 'the body was another one');
  for (const name of ['content-type', 'location']) {
    expect(reply.headers.get(name) === first.headers.get(name), `${name} was another one`);
  }
  expect(isReplay(reply), 'Idempotent-Replayed was missing');
}

function expectProblem(reply: Reply, status: number): void {
  expect(reply.status === status, `it was answered ${reply.status} instead of ${status}`);
  expect(PROBLEM.test(reply.headers.get('content-type') ?? ''), 'the reply was no problem+json');
  expect(parse(reply.text).status === status, 'the problem named another status');
}

/** How many orders have this body, which is unique to the caller. */
async function expectOrders(user: User, body: { product_name: string }, count: number) {
  const { orders } = parse((await user.send(['GET', '/orders?limit=100'])).text);
  if (!Array.isArray(orders)) throw new Broken('GET /orders did not list orders');
  const found = orders.filter(({ product_name }) => product_name === body.product_name).length;
  expect(found === count, `${found} orders were placed instead of ${count}`);
}

function parse(text: string): Record<string, unknown> {
  try {
    return JSON.parse(text) as Record<string, unknown>;
  } catch {
    throw new Broken('the reply was no JSON');
  }
}

/** Sends a request, and repeats it after a 429: a request over the limit has no effect. */
async function send(url: string, init: RequestInit): Promise<Reply> {
  for (let waits = 0; ; waits += 1) {
    const signal = AbortSignal.timeout(REQUEST_TIMEOUT_MS);
    const response = await fetch(url, { ...init, redirect: 'manual', signal }).catch((cause) => {
      throw new Untold(`${url} cannot be reached: ${messageOf(cause)}`, { cause });
    });
    const { status, headers } = response;
    const text = await response.text();
    if (status === 503) throw new Untold(`${url} is unavailable (503)`);
    if (status !== 429) return { status, headers, text };
    const seconds = Number(headers.get('retry-after') || Number.NaN);
    if (!(seconds <= WAIT_SECONDS_MAX) || waits >= WAITS_MAX) {
      throw new Untold(`The limit of ${url} does not let up: raise RATE_LIMIT_*, or set it to 0`);
    }
    print(`(the limit of ${new URL(url).pathname} is reached: waiting ${seconds} s)`);
    await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
  }
}

async function signUp(baseUrl: string, name: string): Promise<User> {
  const account = { email: `${randomUUID()}@example.com`, password: randomUUID() };
  const post = (path: string, body: object) =>
    send(`${baseUrl}${path}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
  const registered = await post('/auth/register', { name, ...account });
  if (registered.status !== 201) throw new Untold(`/auth/register answered ${registered.status}`);
  const loggedIn = await post('/auth/login', account);
  if (loggedIn.status !== 200) throw new Untold(`/auth/login answered ${loggedIn.status}`);
  const authorization = `Bearer ${String(parse(loggedIn.text).access_token)}`;
  return {
    send: ([method, path], { key, body } = {}) => {
      const headers = new Headers({ authorization });
      if (key !== undefined) headers.set('idempotency-key', key);
      if (body === undefined) return send(`${baseUrl}${path}`, { method, headers });
      headers.set('content-type', 'application/json');
      const text = typeof body === 'string' ? body : JSON.stringify(body);
      return send(`${baseUrl}${path}`, { method, headers, body: text });
    },
  };
}

/** Checks every rule, a line each; returns how many were broken. */
async function checkRules(run: Run): Promise<number> {
  let broken = 0;
  for (const { title, check } of rules) {
    const reason = await check(run).then(
      () => null,
      (error: unknown) => {
        if (error instanceof Broken) return error.message;
        throw error;
      },
    );
    if (reason !== null) broken += 1;
    print(reason === null ? `ok      ${title}` : `BROKEN  ${title}: ${reason}`);
  }
  print(`${rules.length - broken} passed, ${broken} failed`);
  return broken;
}

function readArguments() {
  try {
    const { values } = parseArgs({
      options: { 'base-url': { type: 'string' }, concurrency: { type: 'string', default: '8' } },
    });
    const concurrency = Number(values.concurrency);
    const { protocol, href } = new URL(values['base-url'] ?? '');
    if (!/^https?:$/.test(protocol) || !(concurrency >= 2 && concurrency <= 1000))
      throw new Untold();
    return { baseUrl: href.replace(/\/$/, ''), concurrency };
  } catch (cause) {
    throw new Untold(USAGE, { cause });
  }
}

function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause instanceof Error ? messageOf(error.cause) : error.message || error.name;
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}

try {
  const { baseUrl, concurrency } = readArguments();
  const [ada, bob] = [await signUp(baseUrl, 'Ada'), await signUp(baseUrl, 'Bob')];
  process.exitCode = (await checkRules({ ada, bob, concurrency })) > 0 ? EXIT_BROKEN : 0;
} catch (error) {
  process.stderr.write(`${error instanceof Untold ? error.message : messageOf(error)}\n`);
  process.exitCode = EXIT_UNTOLD;
}
