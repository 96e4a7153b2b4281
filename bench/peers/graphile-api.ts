/* Koa + pg + graphile-worker: the order and its job in one transaction, by one statement and so in one round trip. */
import { createServer } from 'node:http';
import Koa, { type Context, type Middleware } from 'koa';
import jwt from 'koa-jwt';
import { LRUCache } from 'lru-cache';
import { Pool } from 'pg';
import getRawBody from 'raw-body';
import { z } from 'zod';
import { API_POOL_SIZE, TASK } from './graphile-settings.ts';
import { INSERT_ORDER, orderValues, pendingOrder } from './orders.ts';
import { listenForBench, runPeer, setting } from './serving.ts';

const NewOrder = z.strictObject({
  product_name: z.string().min(1).max(200),
  amount: z.number().positive().lt(1e12),
});

const PLACE_ORDER = `
  WITH placed AS (${INSERT_ORDER} RETURNING id)
  SELECT (graphile_worker.add_job('${TASK}', json_build_object('order_id', id))).id FROM placed`;

/** Remembers verified tokens, as @fastify/jwt does with `cache: true`, with the same size. koa-jwt does not. */
function authenticate(secret: string): Middleware {
  const verify = jwt({ secret, algorithms: ['HS256'] });
  const verified = new LRUCache<string, { sub: string; exp: number }>({ max: 1000 });
  return (ctx, next) => {
    const authorization = ctx.get('Authorization');
    const user = verified.get(authorization);
    if (!user || user.exp * 1000 <= Date.now()) {
      return verify(ctx, () => {
        verified.set(authorization, ctx.state.user);
        return next();
      });
    }
    ctx.state.user = user;
    return next();
  };
}

await runPeer(async () => {
  const pool = new Pool({ connectionString: setting('DATABASE_URL'), max: API_POOL_SIZE });

  async function placeOrder(ctx: Context): Promise<void> {
    const body = await getRawBody(ctx.req, { length: ctx.length ?? null, limit: 100_000 });
    const parsed = NewOrder.safeParse(JSON.parse(body.toString()));
    if (!parsed.success) ctx.throw(422, z.prettifyError(parsed.error));
    const { sub } = ctx.state.user as { sub: string };
    const order = pendingOrder(sub, parsed.data);
    await pool.query({ name: 'place-order', text: PLACE_ORDER, values: orderValues(order) });
    ctx.status = 201;
    ctx.body = order;
  }

  const app = new Koa();
  app.use(authenticate(setting('JWT_SECRET')));
  app.use(async (ctx) => {
    if (ctx.method === 'POST' && ctx.path === '/orders') await placeOrder(ctx);
  });
  const handle = app.callback();
  const server = createServer((req, res) => void handle(req, res));
  const stopListening = await listenForBench(server);
  return async () => {
    await stopListening();
    await pool.end();
  };
});
