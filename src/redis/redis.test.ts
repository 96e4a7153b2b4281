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

test('when Redis goes away and comes back, the log has one line for each', async (t) => {
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

test('each outage is logged anew', async (t) => {
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

test('while Redis is away, no command waits for it', async (t) => {
  const server = await ownRedis(t);
  const { redis } = await connect(t, server.url);
  server.child.kill('SIGKILL');
  await attempts(redis, 2);

  t.true(await failsAtOnce(redis));
});

test('a Redis that hangs costs a command a moment, and soon nothing', async (t) => {
  const server = await ownRedis(t);
  const { redis, logged } = await connect(t, server.url);
  server.child.kill('SIGSTOP');

  const first = await t.throwsAsync(redis.get('key'));
  await until('the hung connection to be given up', () => redis.status !== 'ready');
  await attempts(redis, 3);
  const later = await failsAtOnce(redis);
  server.child.kill('SIGCONT');
  await until('the connection', () => redis.status === 'ready');

  t.is(first.message, 'Command timed out'); // it, and not yet the connection
  t.true(later);
  t.is(await redis.set('key', 'value'), 'OK');
  t.deepEqual(
    logged().map(({ level }) => level),
    [40, 30],
  );
});

test('a service starts within a moment although Redis is not there', async (t) => {
  const server = await ownRedis(t);
  await server.stop();
  const { redis, logged } = open(t, server.url);
  const begun = Date.now();

  await whenReady(redis, 200);

  t.not(redis.status, 'ready');
  t.true(Date.now() - begun < 5000);
  t.is(logged().length, 1);
});

test('without a REDIS_URL there is no client, and the log says so once', (t) => {
  const { log, logged } = logIntoArray();

  const redis = openRedis({ REDIS_URL: undefined }, log);

  t.is(redis, null);
  t.deepEqual(
    logged().map(({ level }) => level),
    [30],
  );
});

test('a hint does not throw when there is no Redis', (t) => {
  const wakeUps = createWakeUps(null, prefix);

  t.notThrows(() => sendWakeUps(wakeUps));
});

for (const signal of ['SIGKILL', 'SIGSTOP'] as const) {
  test(`a hint does not throw after the ${signal} of Redis, nor once that is noticed`, async (t) => {
    const server = await ownRedis(t);
    const { redis } = await connect(t, server.url);
    const wakeUps = createWakeUps(redis, prefix);
    server.child.kill(signal);

    t.notThrows(() => sendWakeUps(wakeUps));
    await attempts(redis, 2);

    t.notThrows(() => sendWakeUps(wakeUps));
  });
}

test('hints arrive again once Redis is back, and are not those of the outage', async (t) => {
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

test('a subscriber hears again after Redis has been restarted, empty, on the same port', async (t) => {
  const server = await ownRedis(t);
  const { redis } = await connect(t, server.url);
  const heard = listen(t, redis);
  await until('the subscription', () => publish(redis, 'before'));
  await until('the news', () => heard.includes('before'));

  server.child.kill('SIGKILL');
  await attempts(redis, 2);
  await ownRedis(t, server.port);
  await until('the subscription', () => publish(redis, 'after'));
  await until('the news', () => heard.includes('after'));

  t.deepEqual([...new Set(heard)], ['before', 'after']);
});

test('a subscriber that starts before Redis does hears as soon as it is there', async (t) => {
  const server = await ownRedis(t);
  await server.stop();
  const { redis } = open(t, server.url);
  const heard = listen(t, redis);
  await attempts(redis, 2);

  await ownRedis(t, server.port);
  await until('the subscription', () => publish(redis, 'news'));
  await until('the news', () => heard.length > 0);

  t.is(heard[0], 'news');
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

/** Whether a command fails before anything else can happen in this process, so that it has waited for nothing. */
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
  const heard: string[] = [];
  const subscriber = openSubscriber(redis, (connection) => connection.subscribe('news'));
  t.teardown(() => subscriber.disconnect());
  subscriber.on('message', (_channel, text) => heard.push(text));
  return heard;
}

/** Publishes a message. Returns the number of receivers, 0 while Redis is away. */
function publish(redis: Redis, text: string): Promise<number> {
  return redis.publish('news', text).catch(() => 0);
}
