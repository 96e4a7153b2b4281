/*
 * Replaces each of three API processes behind HAProxy while customers place orders: first with DRAIN_SECONDS=0, then
 * with the value that docs/operations.md advises for this configuration of HAProxy.
 */
import { registerAndLogIn } from '../../test/support/accounts.ts';
import type { Drill } from '../drill.ts';
import { startHaproxy, type ProxyCounts } from './haproxy.ts';
import { startLoad, type LoadCounts } from './load.ts';
import { startService } from './service.ts';

const PROCESSES = 3;
/** HAProxy notices within inter + (fall - 1) × fastinter = 4 s, plus the duration of three checks. */
const DRAIN_SECONDS = 8;
const UP_TIMEOUT_MS = 30_000;

type Figures = LoadCounts & ProxyCounts;

/** The drill `rolling`. All is as promised when no request failed in the second run. */
export const rolling: Drill = {
  what: 'replaces each API process behind HAProxy under load (about 1 minute; needs haproxy)',
  async run(say, stop) {
    say(`${PROCESSES} API processes behind HAProxy, each replaced in turn under load`);
    const atOnce = await replaceAll(0, stop);
    say(describe(0, atOnce));
    const drained = await replaceAll(DRAIN_SECONDS, stop);
    say(describe(DRAIN_SECONDS, drained));
    return drained.failed === 0;
  },
};

/** Runs the service with this setting, and replaces every process once. */
async function replaceAll(drainSeconds: number, stop: AbortSignal): Promise<Figures> {
  const service = await startService(PROCESSES, drainSeconds);
  try {
    const proxy = await startHaproxy(service.dir, service.ports);
    try {
      const load = startLoad(proxy.origin, await registerAndLogIn({ origin: proxy.origin }));
      try {
        await service.replaceEach(drainSeconds, () => {
          stop.throwIfAborted();
          return proxy.untilUp(PROCESSES, UP_TIMEOUT_MS);
        });
      } finally {
        await load.stop();
      }
      return { ...(await load.stop()), ...(await proxy.counts()) };
    } finally {
      await proxy.stop();
    }
  } finally {
    await service.stop();
  }
}

function describe(drainSeconds: number, figures: Figures): string {
  const { requests, failed, failures, retried, redispatched } = figures;
  const how = failed === 0 ? '' : ` (${JSON.stringify(failures)})`;
  return (
    `DRAIN_SECONDS=${drainSeconds}: ${requests} requests, ${failed} failed${how}, ` +
    `${retried} retried and ${redispatched} redispatched by HAProxy`
  );
}
