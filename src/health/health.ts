import type { Deps } from '../deps.ts';
import { shareFor, waitUpTo } from '../share.ts';
import { Figures } from './figures.ts';
import { checkReadiness, type MovingParts, type Readiness } from './readiness.ts';

/** Readiness and metrics are computed at most once in this time, however many requests ask for them. */
const SHARED_MS = 1_000;

/** The longest wait for new figures. After that, the metrics have the old ones and their age. */
const FIGURES_WAIT_MS = 500;

/** The health of a process. `readiness` and `metrics` resolve within a second, also while the database is silent. */
export type Health = {
  /** Asks the database regularly from now on. Logs once which settings of the server can lose acknowledged orders. */
  start: () => void;
  readiness: () => Promise<Readiness>;
  /** The metrics in the text format of Prometheus. */
  metrics: () => Promise<string>;
};

type HealthDeps = Pick<Deps, 'pool' | 'probe' | 'redis' | 'metrics' | 'log' | 'stopping'>;

const RISK = 'the database can lose acknowledged orders: see ops.durability';

/** Creates the health of a process. `parts` are the parts of the process that it watches. */
export function createHealth(deps: HealthDeps, parts: MovingParts): Health {
  const { metrics, stopping } = deps;
  const figures = new Figures(deps);

  function start(): void {
    deps.probe.onReturn(async () => {
      const missing = await parts.recentOrders?.missing(deps);
      if (missing && missing.lost_orders > 0) deps.probe.reportLoss(missing);
    });
    deps.probe.start();
    void figures.refresh().then(() => {
      for (const risk of figures.risks() ?? [])
        deps.log[risk.event === 'failover' ? 'info' : 'warn']({ ...risk }, RISK);
    });
  }

  const check = shareFor(SHARED_MS, async () => {
    void figures.refresh();
    return checkReadiness(deps, figures, parts);
  });

  async function readiness(): Promise<Readiness> {
    const found = await check();
    const isStopping = stopping.signal.aborted && found.status !== 'unavailable';
    return isStopping ? { ...found, status: 'stopping' } : found;
  }

  const page = shareFor(SHARED_MS, async () => {
    const [found] = await Promise.all([readiness(), waitUpTo(FIGURES_WAIT_MS, figures.refresh())]);
    metrics.figuresAge.set(figures.ageSeconds());
    metrics.databaseUp.set(Number(found.database !== 'away'));
    metrics.databaseWritable.set(Number(found.database === 'ok'));
    metrics.historyLost.set(Number(found.history === 'lost'));
    metrics.ready.set(Number(isReady(found)));
    if (parts.intake) metrics.intakeWaiting.set(parts.intake.waiting());
    return metrics.registry.metrics();
  });

  return { start, readiness, metrics: page };
}

/** Whether a process in this state takes work. */
export function isReady({ status }: Readiness): boolean {
  return status === 'ok' || status === 'degraded';
}
