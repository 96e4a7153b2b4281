import { Router, type RouterContext } from '@koa/router';
import type { ApiDeps } from '../deps.ts';
import { jsonBody } from '../http/body.ts';
import { deprecated } from '../http/deprecation.ts';
import { idempotencyKey, type KeyedState } from '../http/idempotency.ts';
import { parse, parseParameters } from '../http/problem.ts';
import type { Limits } from '../http/limits.ts';
import { sendReply } from '../http/reply.ts';
import { cancelOrder } from './cancellation.ts';
import { placeOrder, type Intake } from './placement.ts';
import { findOrder, listEvents, listOrders } from './queries.ts';
import {
  cursorAfter,
  MyOrdersFilter,
  NewOrder,
  OrderFilter,
  OrderId,
  type Order,
} from './schema.ts';

/** The routes of the user's own orders. An alias from the original API shares the rate limit of its route. */
export function orderRoutes(deps: ApiDeps & { intake: Intake }, limits: Limits) {
  const router = new Router<KeyedState>({ prefix: '/orders' });
  const { authenticated } = limits;
  const body = jsonBody();
  const retryable = idempotencyKey();

  const place = async (ctx: RouterContext<KeyedState>) => {
    const { userId, keyed } = ctx.state;
    const order = parse(NewOrder, ctx.state.body ?? {});
    const reply = await placeOrder(deps, userId, order, keyed, ctx.res);
    ctx.state.about.order_id = reply.order_id;
    ctx.state.about.job_id = reply.order_id;
    sendReply(ctx, reply);
  };
  router.post('/', authenticated, limits.create, body, retryable, place);
  router.post(
    '/create',
    deprecated(toOrders),
    authenticated,
    limits.create,
    body,
    retryable,
    place,
  );

  // A cancellation is a resource of the order: repeating the PUT changes nothing.
  const cancel = async (ctx: RouterContext<KeyedState>) => {
    sendReply(ctx, await cancelOrder(deps, ctx.state.userId, orderId(ctx), ctx.state.keyed));
  };
  router.put('/:id/cancellation', authenticated, limits.cancel, body, retryable, cancel);
  router.patch(
    '/:id/cancel',
    deprecated(toCancellation),
    authenticated,
    limits.cancel,
    body,
    retryable,
    cancel,
  );

  addReadingRoutes(router, deps, limits);
  return router;
}

function addReadingRoutes(router: Router<KeyedState>, deps: ApiDeps, limits: Limits): void {
  const { authenticated } = limits;

  router.get('/', authenticated, limits.list, async (ctx) => {
    const filter = parseParameters(OrderFilter, ctx.query);
    const orders = await listOrders(deps, ctx.state.userId, filter);
    const next_cursor = nextCursor(orders, filter.limit);
    linkToNext(ctx, next_cursor);
    ctx.body = { orders, next_cursor };
  });

  router.get('/my-orders', deprecated(toOrders), authenticated, limits.list, async (ctx) => {
    const filter = parseParameters(MyOrdersFilter, ctx.query);
    const orders = await listOrders(deps, ctx.state.userId, filter);
    linkToNext(ctx, nextCursor(orders, filter.limit));
    ctx.body = orders;
  });

  router.get('/:id', authenticated, limits.read, async (ctx) => {
    ctx.body = await findOrder(deps, ctx.state.userId, orderId(ctx));
  });

  router.get('/:id/events', authenticated, limits.read, async (ctx) => {
    ctx.body = { events: await listEvents(deps, ctx.state.userId, orderId(ctx)) };
  });
}

function toOrders(): string {
  return '/orders';
}

function toCancellation({ params }: RouterContext<KeyedState>): string {
  return `/orders/${encodeURIComponent(params.id ?? '')}/cancellation`;
}

function orderId(ctx: RouterContext<KeyedState>): string {
  const { id } = parseParameters(OrderId, ctx.params);
  ctx.state.about.order_id = id;
  return id;
}

/** The cursor after a full page, or null. The next page may be empty. */
function nextCursor(orders: readonly Order[], limit: number): string | null {
  const last = orders.at(-1);
  return last && orders.length === limit ? cursorAfter(last) : null;
}

/** Sets the Link to the next page (RFC 8288): the same query with another cursor. */
function linkToNext(ctx: RouterContext<KeyedState>, cursor: string | null): void {
  if (!cursor) return;
  const query = new URLSearchParams(ctx.querystring);
  query.set('cursor', cursor);
  ctx.state.headers.push('Link', `<${ctx.path}?${query.toString()}>; rel="next"`);
}
