import { z } from 'zod';
import type { Deps } from '../deps.ts';
import { Risk, type Figures } from './figures.ts';
import type { RecentOrders } from './recent-orders.ts';

/** A batch that has been in flight for longer is stuck. Postgres cancels a statement after 10 s, but not a COMMIT. */
const STUCK_MS = 15_000;

/** Whether a process is ready, as load balancers and strangers see it. */
export const PlainReadiness = z
  .object({ status: z.enum(['ok', 'degraded', 'stopping', 'unavailable']) })
  .meta({ id: 'Readiness' });
type Status = z.infer<typeof PlainReadiness>['status'];

/** The state of a process, for operators. */
export const Readiness = PlainReadiness.extend({
  database: z.enum(['ok', 'away', 'standby', 'read-only', 'commits-hang', 'writes-fail']),
  /** `ok`, `missing` and the newest migration, `missing all`, or `unknown` while the database is away. */
  schema: z.string(),
  redis: z.enum(['ok', 'away', 'off']),
  /** `lost`: the database has lost transactions that it had acknowledged to this process. */
  history: z.enum(['ok', 'lost']),
  /** Whether orders get through the intake. Only in API processes. */
  intake: z.enum(['ok', 'stuck']).optional(),
  /** Queues with due jobs on which this worker does nothing. Only in workers. */
  stuck_queues: z.array(z.string()).optional(),
  /** Settings of the server that can lose acknowledged orders. Null while they are unknown. */
  risks: z.array(Risk).nullable(),
});
export type Readiness = z.infer<typeof Readiness>;

/** The parts of a process that its health watches. A process whose intake or consumers are stuck is not ready. */
export type MovingParts = {
  intake?: { waiting: () => number; oldestMs: () => number };
  recentOrders?: Pick<RecentOrders, 'missing'>;
  consumers?: { stuckQueues: () => string[] };
};

/** Checks the database and the parts of the process. Resolves within a second. */
export async function checkReadiness(
  { probe, redis }: Pick<Deps, 'probe' | 'redis'>,
  figures: Pick<Figures, 'risks'>,
  { intake, consumers }: MovingParts,
): Promise<Readiness> {
  const database = await probe.check();
  const redisState = redis === null ? 'off' : redis.status === 'ready' ? 'ok' : 'away';
  const isStuck = intake !== undefined && intake.oldestMs() > STUCK_MS;
  const stuckQueues = consumers?.stuckQueues() ?? [];
  const isAble = database.database === 'ok' && database.schema === 'ok';
  const isMoving = !isStuck && stuckQueues.length === 0;
  const isWhole = redisState === 'ok' && database.history === 'ok';
  const status: Status = !isAble || !isMoving ? 'unavailable' : isWhole ? 'ok' : 'degraded';
  return {
    status,
    ...database,
    redis: redisState,
    ...(intake && { intake: isStuck ? 'stuck' : 'ok' }),
    ...(consumers && { stuck_queues: stuckQueues }),
    risks: figures.risks()?.slice() ?? null,
  };
}
