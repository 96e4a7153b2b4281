import { spawn } from 'node:child_process';
import { createServer, request, type IncomingMessage, type ServerResponse } from 'node:http';
import { text } from 'node:stream/consumers';
import type { ExecutionContext } from 'ava';
import { inheritedEnvironment } from '../src/config/load.ts';
import { listen } from '../src/http/server.ts';
import { freePort } from '../src/local/free-port.ts';
import { test } from '../test/support/context.ts';

const RULES = 19;

test('our API keeps every rule', async (t) => {
  const { code, stdout, stderr } = await conformance('--base-url', t.context.origin);

  const lines = stdout.trim().split('\n');
  t.deepEqual([code, stderr], [0, '']);
  t.is(lines.at(-1), `${RULES} passed, 0 failed`);
  t.is(lines.filter((line) => line.startsWith('ok ')).length, RULES);
});

test('a server that ignores the header breaks only the rules that demand a replay or a refusal of a key', async (t) => {
  const ignorant = await openProxy(t, (incoming) => {
    delete incoming.headers['idempotency-key'];
  });

  const { code, stdout } = await conformance('--base-url', ignorant);

  const lines = stdout.trim().split('\n');
  const kept = lines.flatMap((line) => /^ok +(.*)$/.exec(line)?.[1] ?? []);
  t.is(code, 1);
  t.deepEqual(kept, [
    'a key of 255 characters is accepted',
    'each request without a key has an effect',
    'the key of a refused request can be used again',
    'two users can use the same key',
    'a key can be used again at another path, by another method',
  ]);
  t.is(lines.at(-1), `${kept.length} passed, ${RULES - kept.length} failed`);
});

test('a server that treats all keys of a user as one key breaks the rule about two users', async (t) => {
  const careless = await openProxy(t, (incoming) => {
    const key = incoming.headers['idempotency-key'];
    if (typeof key === 'string' && /^"[\w-]{36}"$/.test(key))
      incoming.headers['idempotency-key'] = 'one';
  });

  const { code, stdout } = await conformance('--base-url', careless);

  t.is(code, 1);
  t.regex(stdout, /^BROKEN {2}two users can use the same key: the server answered 422, not 201$/m);
  t.regex(stdout, /^ok {6}each request without a key has an effect$/m);
});

test('the command waits when the server limits its requests, and prints so', async (t) => {
  let refusals = 1;
  const limited = await openProxy(t, (incoming, response) => {
    if (incoming.url !== '/orders' || incoming.method !== 'POST' || refusals === 0) return;
    refusals -= 1;
    response.writeHead(429, { 'retry-after': '1' }).end();
  });

  const { code, stdout } = await conformance('--base-url', limited);

  t.is(code, 0);
  t.regex(stdout, /^rate limit of \/orders reached: waiting 1 s$/m);
  t.regex(stdout, new RegExp(`^${RULES} passed, 0 failed$`, 'm'));
});

test('a rate limit that stays exceeded ends the command without a result', async (t) => {
  const limited = await openProxy(t, (_incoming, response) => {
    response.writeHead(429, { 'retry-after': '3600' }).end();
  });

  const { code, stdout, stderr } = await conformance('--base-url', limited);

  t.deepEqual([code, stdout], [2, '']);
  t.regex(
    stderr,
    /^The rate limit of [^\n]+ stays exceeded: raise RATE_LIMIT_\*, or set it to 0 to switch it off\n$/,
  );
});

test('an address where no server listens ends the command without a result', async (t) => {
  const { code, stdout, stderr } = await conformance(
    '--base-url',
    `http://127.0.0.1:${await freePort()}`,
  );

  t.deepEqual([code, stdout], [2, '']);
  t.regex(stderr, /^http:[^\n]+ cannot be reached: [^\n]+\n$/);
});

for (const args of [
  [],
  ['--base-url', 'somewhere'],
  ['--base-url', 'ftp://localhost'],
  ['--base-url', 'http://localhost', '--concurrency', 'many'],
  ['--url', 'http://localhost'],
]) {
  test(`wrong arguments get the usage: ${args.join(' ') || 'none'}`, async (t) => {
    const { code, stdout, stderr } = await conformance(...args);

    t.deepEqual([code, stdout], [2, '']);
    t.regex(stderr, /^Usage: npm run conformance -- --base-url [^\n]+\n$/);
  });
}

async function conformance(...args: string[]) {
  const program = new URL('main.ts', import.meta.url).pathname;
  const child = spawn(process.execPath, [program, ...args], {
    env: inheritedEnvironment(),
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const exited = new Promise<number | null>((resolve) => child.once('exit', resolve));
  const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr)]);
  return { code: await exited, stdout, stderr };
}

type Change = (incoming: IncomingMessage, response: ServerResponse) => void;

/** Opens a proxy to our API that changes requests, or answers them itself. Returns its address. */
async function openProxy(t: ExecutionContext<{ origin: string }>, change: Change): Promise<string> {
  const server = createServer((incoming, response) => {
    change(incoming, response);
    if (response.writableEnded) return void incoming.resume();
    const { method, headers, url } = incoming;
    const onwards = request(`${t.context.origin}${url}`, { method, headers }, (reply) => {
      response.writeHead(reply.statusCode ?? 500, reply.headers);
      reply.pipe(response);
    });
    onwards.once('error', () => response.destroy());
    incoming.pipe(onwards);
  });
  const port = await listen(server, 0, '127.0.0.1');
  t.teardown(() => server.close().closeAllConnections());
  return `http://127.0.0.1:${port}`;
}
