import type { ExecutionContext } from 'ava';
import { pino } from 'pino';
import type { Redis } from 'ioredis';
import { test } from '../../test/support/context.ts';
import { ownRedis } from '../../test/support/processes.ts';
import { subscribe } from '../../test/support/subscribe.ts';
import { until } from '../../test/support/until.ts';
import { openRedis, openSubscriber, whenReady } from './client.ts';
import { createWakeUps, wakeUpChannel } from './wake-ups.ts';

const prefix = { REDIS_PREFIX: 'oms' };

test('the log has one line for the start of an outage of Redis, and one for its end', async (t) => {
  const server = await ownRedis(t);
  const { redis, logged } = await connect(t, server.url);

  server.child.kill('SIGKILL');
  await attempts(redis, 4);
  await ownRedis(t, server.port);
  await until('the connection', () => redis.status === 'ready');

  t.is(await redis.set('key', 'value'), 'OK');
  t.deepEqual(
    logged().map(({ level, msg }) => [level, msg]),
    [
      [40, 'redis is away: limits are per process, workers poll'],
      [30, 'redis is back'],
    ],
  );
});

test('each outage is logged', async (t) => {
  let server = await ownRedis(t);
  const { redis, logged } = await connect(t, server.url);

  for (let outage = 0; outage < 2; outage += 1) {
    server.child.kill('SIGKILL');
    await attempts(redis, 1);
    server = await ownRedis(t, server.port);
    await until('the connection', () => redis.status === 'ready');
  }

  t.deepEqual(
    logged().map(({ level }) => level),
    [40, 30, 40, 30],
  );
});

test('while Redis is away, a command fails at once', async (t) => {
  const server = await ownRedis(t);
  const { redis } = await connect(t, server.url);
  server.child.kill('SIGKILL');
  await attempts(redis, 2);

  t.true(await failsAtOnce(redis));
});

test('while Redis hangs, the first command times out, and later ones fail at once', async (t) => {
  const server = await ownRedis(t);
  const { redis, logged } = await connect(t, server.url);
  server.child.kill('SIGSTOP');

  const first = await t.throwsAsync(redis.get('key'));
  await until('the hung connection to be given up', () => redis.status !== 'ready');
  await attempts(redis, 3);
  const later = await failsAtOnce(redis);
  server.child.kill('SIGCONT');
  await until('the connection', () => redis.status === 'ready');

  t.is(first.message, 'Command timed out'); // the command timed out before the connection did
  t.true(later);
  t.is(await redis.set('key', 'value'), 'OK');
  t.deepEqual(
    logged().map(({ level }) => level),
    [40, 30],
  );
});

test('a service that starts without Redis does not wait long for it', async (t) => {
  const server = await ownRedis(t);
  await server.stop();
  const { redis, logged } = open(t, server.url);
  const begun = Date.now();

  await whenReady(redis, 200);

  t.not(redis.status, 'ready');
  t.true(Date.now() - begun < 5000);
  t.is(logged().length, 1);
});

test('without REDIS_URL there is no client, and the log has one line about it', (t) => {
  const { log, logged } = logIntoArray();

  const redis = openRedis({ REDIS_URL: undefined }, log);

  t.is(redis, null);
  t.deepEqual(
    logged().map(({ level }) => level),
    [30],
  );
});

test('sending wake-ups does not throw without Redis', (t) => {
  const wakeUps = createWakeUps(null, prefix);

  t.notThrows(() => sendWakeUps(wakeUps));
});

for (const signal of ['SIGKILL', 'SIGSTOP'] as const) {
  test(`sending wake-ups does not throw after ${signal} of Redis, before and after the client notices`, async (t) => {
    const server = await ownRedis(t);
    const { redis } = await connect(t, server.url);
    const wakeUps = createWakeUps(redis, prefix);
    server.child.kill(signal);

    t.notThrows(() => sendWakeUps(wakeUps));
    await attempts(redis, 2);

    t.notThrows(() => sendWakeUps(wakeUps));
  });
}

test('wake-ups arrive again when Redis is back, without those of the outage', async (t) => {
  const server = await ownRedis(t);
  const { redis } = await connect(t, server.url);
  const wakeUps = createWakeUps(redis, prefix);
  server.child.kill('SIGKILL');
  await attempts(redis, 2);
  for (let count = 1; count <= 3000; count += 1) wakeUps.send('fail-order');
  await ownRedis(t, server.port);
  await until('the connection', () => redis.status === 'ready');
  const messages = await subscribe(t, server.url, wakeUpChannel(prefix));

  wakeUps.send('process-order');
  await until('the wake-up', () => messages.length > 0);

  t.deepEqual(messages, [[wakeUpChannel(prefix), 'process-order']]);
});

test('a subscriber receives messages again after a restart of Redis', async (t) => {
  const server = await ownRedis(t);
  const { redis } = await connect(t, server.url);
  const received = listen(t, redis);
  await until('the subscription', () => publish(redis, 'before'));
  await until('the news', () => received.includes('before'));

  server.child.kill('SIGKILL');
  await attempts(redis, 2);
  await ownRedis(t, server.port);
  await until('the subscription', () => publish(redis, 'after'));
  await until('the news', () => received.includes('after'));

  t.deepEqual([...new Set(received)], ['before', 'after']);
});

test('a subscriber that starts before Redis receives messages once Redis runs', async (t) => {
  const server = await ownRedis(t);
  await server.stop();
  const { redis } = open(t, server.url);
  const received = listen(t, redis);
  await attempts(redis, 2);

  await ownRedis(t, server.port);
  await until('the subscription', () => publish(redis, 'news'));
  await until('the news', () => received.length > 0);

  t.is(received[0], 'news');
});

function logIntoArray() {
  const lines: string[] = [];
  const log = pino({ level: 'info' }, { write: (line: string) => void lines.push(line) });
  const logged = () => lines.map((line) => JSON.parse(line) as { level: number; msg: string });
  return { log, logged };
}

function open(t: ExecutionContext, url: string) {
  const { log, logged } = logIntoArray();
  const redis = openRedis({ REDIS_URL: url }, log);
  if (!redis) throw new Error('there is a REDIS_URL');
  t.teardown(() => redis.disconnect());
  return { redis, logged };
}

async function connect(t: ExecutionContext, url: string) {
  const opened = open(t, url);
  await until('the connection', () => opened.redis.status === 'ready');
  return opened;
}

/** Waits until the client has tried `count` times to connect again. */
async function attempts(redis: Redis, count: number): Promise<void> {
  let seen = 0;
  redis.on('reconnecting', () => (seen += 1));
  await until('attempts to reconnect', () => seen >= count);
}

/** Whether a command fails before the event loop continues, that is, without waiting. */
async function failsAtOnce(redis: Redis): Promise<boolean> {
  let hasFailed = false;
  redis.get('key').catch(() => (hasFailed = true));
  await new Promise((resolve) => setImmediate(resolve));
  return hasFailed;
}

function sendWakeUps(wakeUps: ReturnType<typeof createWakeUps>): void {
  for (let count = 1; count <= 2000; count += 1) wakeUps.send('process-order');
}

function listen(t: ExecutionContext, redis: Redis): string[] {
  const received: string[] = [];
  const subscriber = openSubscriber(redis, (connection) => connection.subscribe('news'));
  t.teardown(() => subscriber.disconnect());
  subscriber.on('message', (_channel, text) => received.push(text));
  return received;
}

/** Publishes a message. Returns the number of receivers, 0 while Redis is away. */
function publish(redis: Redis, text: string): Promise<number> {
  return redis.publish('news', text).catch(() => 0);
}
