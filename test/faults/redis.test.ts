import { Redis } from 'ioredis';
import { freePort } from '../../src/local/free-port.ts';
import { ownService, send, signUp, test, type Context } from '../support/context.ts';
import { COMPLETED_ONCE, placeSteadily, trailsOf, whenAllSettled } from '../support/load.ts';
import { ownRedis, startApiProcess, startWorkerProcess } from '../support/processes.ts';
import { testEnvironment } from '../support/template.ts';
import { until } from '../support/until.ts';

// Serial, because each test measures how long requests take.

const LATENCY_MS_MAX = 10_000; // for a very busy test machine; an idle one needs about 30 ms

test.serial(
  'no order is stranded when Redis is killed under load and restarts empty',
  async (t) => {
    const redis = await ownRedis(t);
    const { service, api, worker, users } = await startService(t, redis.url);
    const load = placeSteadily(t, users);
    await load.more(100);

    const killedAt = Date.now();
    redis.child.kill('SIGKILL');
    await load.more(200);
    const backAt = Date.now();
    await ownRedis(t, redis.port);
    await until('both processes to reconnect to Redis', () => [api, worker].every(isBack));
    await load.more(100);
    await load.stop();
    await whenAllSettled(service.deps);

    const ids = load.acknowledged();
    const whileAway = load.outcomes.filter(
      ({ sentAt, tookMs }) => sentAt + tookMs >= killedAt && sentAt <= backAt,
    );
    t.log(`${ids.length} orders; slowest while Redis was away: ${slowest(whileAway)} ms`);
    t.is(ids.length, load.outcomes.length, 'every request got 201');
    t.true(slowest(whileAway) < LATENCY_MS_MAX);
    t.deepEqual(await trailsOf(service.deps, ids), { [COMPLETED_ONCE]: ids.length });
    t.deepEqual([api, worker].map(linesAboutRedis), [
      [1, 1],
      [1, 1],
    ]);
  },
);

test.serial('orders are placed and completed while Redis hangs', async (t) => {
  const redis = await ownRedis(t);
  const { service, users } = await startService(t, redis.url);
  const load = placeSteadily(t, users);
  await load.more(100);

  const hungAt = Date.now();
  redis.child.kill('SIGSTOP');
  await load.more(300);
  await load.stop();
  await whenAllSettled(service.deps);

  const ids = load.acknowledged();
  const whileHung = load.outcomes.filter(({ sentAt, tookMs }) => sentAt + tookMs >= hungAt);
  t.log(`${ids.length} orders; slowest while Redis hung: ${slowest(whileHung)} ms`);
  t.is(ids.length, load.outcomes.length, 'every request got 201');
  t.true(slowest(whileHung) < LATENCY_MS_MAX);
  t.deepEqual(await trailsOf(service.deps, ids), { [COMPLETED_ONCE]: ids.length });
});

test.serial(
  'a service that starts without Redis works, reports it, and uses Redis as soon as it starts',
  async (t) => {
    const port = await freePort();
    const { service, api, users } = await startService(t, `redis://127.0.0.1:${port}`);

    const without = await send(api.internal, 'GET', '/readyz');
    const ids = await Promise.all(users.map((user) => user.place()));
    await whenAllSettled(service.deps);
    const redis = new Redis((await ownRedis(t, port)).url);
    t.teardown(() => redis.disconnect());
    const channel = `${service.database}:wake`;
    await until('the worker to subscribe', async () => {
      const [, subscribers] = (await redis.pubsub('NUMSUB', channel)) as [string, number];
      return subscribers === 1;
    });
    await until('the API to connect to Redis', async () => {
      return (await send(api.origin, 'GET', '/readyz')).body.status === 'ok';
    });

    t.is(without.status, 200);
    t.like(without.body, { status: 'degraded', redis: 'away' });
    t.deepEqual(await trailsOf(service.deps, ids), { [COMPLETED_ONCE]: ids.length });
  },
);

/** An API and a worker as processes, with a rate limit that counts in Redis and is never reached. */
async function startService(t: Parameters<typeof ownRedis>[0], redisUrl: string) {
  const service = await ownService(t as Parameters<typeof ownService>[0], { REDIS_URL: '' });
  const env = testEnvironment(service.database, {
    REDIS_URL: redisUrl,
    RATE_LIMIT_CREATE: '1000000',
  });
  const [api, worker] = await Promise.all([startApiProcess(t, env), startWorkerProcess(t, env)]);
  const users = await Promise.all(
    Array.from({ length: 4 }, () => signUp({ deps: service.deps, origin: api.origin })),
  );
  return { service: service satisfies Context, api, worker, users };
}

type Logs = Pick<Awaited<ReturnType<typeof startWorkerProcess>>, 'logged'>;

function isBack({ logged }: Logs): boolean {
  return logged('redis is back').length > 0;
}

/** How many times a process has logged that Redis was lost, and that it was back. */
function linesAboutRedis({ logged }: Logs): number[] {
  return ['redis is away: limits are per process, workers poll', 'redis is back'].map(
    (message) => logged(message).length,
  );
}

function slowest(outcomes: { tookMs: number }[]): number {
  return Math.max(...outcomes.map(({ tookMs }) => tookMs));
}
