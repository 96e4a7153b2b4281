import { Router } from '@koa/router';
import test, { type ExecutionContext } from 'ava';
import Koa from 'koa';
import { exactRoutes } from './exact-routes.ts';
import { closeServer, portOf, serve } from './server.ts';
import type { AppState } from './state.ts';

const requests = [
  ['POST', '/orders'],
  ['POST', '/orders?a=1'],
  ['POST', '/orders/'],
  ['POST', '/ORDERS'],
  ['POST', '//orders'],
  ['GET', '/orders'],
  ['HEAD', '/orders'],
  ['PUT', '/orders'],
  ['OPTIONS', '/orders'],
  ['GET', '/orders/mine'],
  ['GET', '/orders/:id'],
  ['GET', '/orders/7'],
  ['GET', '/passes'],
  ['GET', '/twice'],
  ['GET', '/nowhere'],
  ['GET', '/constructor'],
] as const;

test('a request gets the same reply as from the router alone', async (t) => {
  const alone = await open(t, []);
  const both = await open(t, [exactRoutes(createRouter())]);

  for (const [method, path] of requests) {
    const wanted = await ask(alone, method, path);
    t.deepEqual(await ask(both, method, path), wanted, `${method} ${path}`);
  }
});

test('a path without parameters is handled before the router, any other path is left to it', async (t) => {
  const withoutRouter = await open(t, [exactRoutes(createRouter())], false);

  t.is((await ask(withoutRouter, 'POST', '/orders')).status, 200);
  for (const path of ['/orders/7', '/orders/mine', '/orders?a=1']) {
    t.is((await ask(withoutRouter, 'GET', path)).status, 404, path);
  }
});

function createRouter(): Router {
  const orders = new Router({ prefix: '/orders' });
  orders.post('/', (_ctx, next) => next(), say('place'));
  orders.get('/', say('list'));
  orders.get('/mine', say('mine')); // matches the next route too
  orders.get('/:id', say('find'));
  const router = new Router();
  router.use(orders.routes());
  router.get('/passes', (_ctx, next) => next());
  router.get('/twice', (_ctx, next) => next());
  router.get('/twice', say('second'));
  return router;
}

function say(name: string) {
  return (ctx: Koa.Context) => {
    ctx.body = { name, route: ctx._matchedRoute as unknown };
  };
}

async function open(
  t: ExecutionContext,
  before: Koa.Middleware<AppState>[],
  hasRouter = true,
): Promise<string> {
  const app = new Koa<AppState>();
  const router = createRouter();
  for (const middleware of before) app.use(middleware);
  if (hasRouter) app.use(router.routes()).use(router.allowedMethods());
  const server = await serve(app, 0, '127.0.0.1');
  t.teardown(() => closeServer(server, 1));
  return `http://127.0.0.1:${portOf(server)}`;
}

async function ask(origin: string, method: string, path: string) {
  const response = await fetch(`${origin}${path}`, { method });
  const { status, headers } = response;
  return { status, allow: headers.get('allow'), body: await response.text() };
}
