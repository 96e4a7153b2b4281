import type { Router } from '@koa/router';
import { z } from 'zod';
import { createApp } from '../app.ts';
import { Readiness } from '../health/readiness.ts';
import { ProblemDetails } from '../http/problem.ts';
import { Order, OrderEvent, OrderPage } from '../orders/schema.ts';
import { logIn, refresh, refreshTokenOf, register } from '../../test/support/accounts.ts';
import { send, signUp, test } from '../../test/support/context.ts';
import { AccessToken, User } from '../users/schema.ts';

// These describe the API; the API that they describe is the rest.
const DOCUMENTATION = new Set(['/', '/docs', '/docs/viewer.js', '/openapi.json', '/problems']);

test('the description names every route that there is, and no other', async (t) => {
  const { body } = await send(t.context.origin, 'GET', '/openapi.json');

  const routes = routerOf(createApp(t.context.deps)).stack.flatMap(({ path, methods }) =>
    methods.map((method) => ({ method, path: String(path).replaceAll(/:(\w+)/g, '{$1}') })),
  );

  const real = routes.filter(
    ({ method, path }) =>
      method !== 'HEAD' && !DOCUMENTATION.has(path) && !path.startsWith('/problems/'),
  );
  const described = operationsOf(body).map(({ method, path }) => `${method} ${path}`);
  t.true(real.length > 15);
  t.deepEqual(described.sort(), real.map(({ method, path }) => `${method} ${path}`).sort());
});

test('the description is OpenAPI 3.1, and everything that it refers to is in it', async (t) => {
  const { status, body } = await send(t.context.origin, 'GET', '/openapi.json');

  t.is(status, 200);
  t.regex(body.openapi, /^3\.1\.\d$/);
  const references = [...JSON.stringify(body).matchAll(/"\$ref":"([^"]+)"/g)].map(([, ref]) => ref);
  t.true(references.length > 10);
  for (const reference of references) t.truthy(lookUp(body, reference ?? ''), reference);
  const schemes = operationsOf(body).flatMap(({ security = [] }) => security.flatMap(Object.keys));
  for (const scheme of schemes) t.truthy(body.components.securitySchemes[scheme], scheme);
});

test('every operation has a summary, a tag and described answers, and declares its path parameters', async (t) => {
  const { body } = await send(t.context.origin, 'GET', '/openapi.json');

  for (const operation of operationsOf(body)) {
    const name = `${operation.method} ${operation.path}`;
    t.truthy(operation.summary, name);
    t.true(
      body.tags.some((tag: { name: string }) => tag.name === operation.tags[0]),
      name,
    );
    t.truthy(
      Object.keys(operation.responses).find((status) => status.startsWith('2')),
      name,
    );
    const wanted = [...operation.path.matchAll(/\{(\w+)\}/g)].map(([, parameter]) => parameter);
    const parameters = operation.parameters ?? [];
    const declared = parameters.filter(({ in: place }) => place === 'path').map(({ name: n }) => n);
    t.deepEqual(declared, wanted, name);
  }
});

test('each operation that wants a token says so, and no other does', async (t) => {
  const { body } = await send(t.context.origin, 'GET', '/openapi.json');

  for (const { method, path, security = [] } of operationsOf(body)) {
    if (path === '/auth/refresh' || path === '/auth/login') continue; // 401 there is about something else
    const sample = path.replace('{id}', '01890000-0000-7000-8000-000000000000');
    const { status } = await send(t.context.origin, method, sample);
    t.is(status === 401, 'bearer' in (security[0] ?? {}), `${method} ${path}`);
  }
});

test('the documentation page loads nothing from elsewhere', async (t) => {
  const page = await send(t.context.origin, 'GET', '/docs');
  const viewer = await send(t.context.origin, 'GET', '/docs/viewer.js');

  t.is(page.status, 200);
  t.regex(page.type ?? '', /^text\/html/);
  t.notRegex(page.body, /https?:|["']\/\//);
  const sources = [...page.body.matchAll(/(?:src|href|data-url)="([^"]*)"/g)].map(([, to]) => to);
  t.deepEqual(sources, ['/openapi.json', '/docs/viewer.js']);
  t.regex(
    page.headers.get('content-security-policy') ?? '',
    /default-src 'self'.*script-src 'self'/,
  );
  t.is(viewer.status, 200);
  t.regex(viewer.type ?? '', /javascript/);
  t.true(viewer.body.length > 100_000);
});

test('whoever opens the root is shown the way', async (t) => {
  const { body } = await send(t.context.origin, 'GET', '/');

  t.is((await send(t.context.origin, 'GET', body.docs)).status, 200);
  t.is((await send(t.context.origin, 'GET', body.openapi)).status, 200);
});

test('the answers about accounts are as described, without a field more', async (t) => {
  const registered = await register(t.context);
  const login = await logIn(t.context, registered.body.email);
  const renewed = await refresh(t.context, refreshTokenOf(login));
  const headers = { authorization: `Bearer ${login.body.access_token}` };
  const me = await send(t.context.origin, 'GET', '/auth/me', { headers });

  const described = [
    exactly(User).safeParse(registered.body),
    exactly(User).safeParse(me.body),
    exactly(AccessToken).safeParse(login.body),
    exactly(AccessToken).safeParse(renewed.body),
  ];

  for (const { error } of described) t.is(error, undefined);
});

test('the answers about orders are as described, without a field more', async (t) => {
  const user = await signUp(t.context);
  const placed = await user.request('POST', '/orders', { product_name: 'Kettle', amount: 34.9 });
  const { id } = placed.body;
  const cancelled = await user.request('PUT', `/orders/${id}/cancellation`);
  const found = await user.request('GET', `/orders/${id}`);
  const page = await user.request('GET', '/orders');
  const mine = await user.request('GET', '/orders/my-orders');
  const trail = await user.request('GET', `/orders/${id}/events`);

  const described = [
    exactly(Order).safeParse(placed.body),
    exactly(Order).safeParse(cancelled.body),
    exactly(Order).safeParse(found.body),
    exactly(OrderPage).safeParse(page.body),
    z.array(exactly(Order)).length(1).safeParse(page.body.orders),
    z.array(exactly(Order)).length(1).safeParse(mine.body),
    z.strictObject({ events: z.array(exactly(OrderEvent)).length(2) }).safeParse(trail.body),
  ];

  for (const { error } of described) t.is(error, undefined);
});

test('health and problems are as described', async (t) => {
  const ready = await send(t.context.origin, 'GET', '/readyz');
  const missing = await send(t.context.origin, 'GET', '/nowhere');
  const invalid = await register(t.context, { name: '', unknown: 1 });

  const described = [
    exactly(Readiness).safeParse(ready.body),
    ProblemDetails.safeParse(missing.body),
    ProblemDetails.required({ errors: true, detail: true }).safeParse(invalid.body),
  ];

  for (const { error } of described) t.is(error, undefined);
});

type Operation = {
  method: string;
  path: string;
  summary?: string;
  tags: string[];
  security?: Record<string, string[]>[];
  parameters?: { in: string; name: string }[];
  responses: Record<string, unknown>;
};

function operationsOf({ paths }: { paths: Record<string, Record<string, object>> }): Operation[] {
  return Object.entries(paths).flatMap(([path, item]) =>
    Object.entries(item).map(
      ([method, operation]) =>
        Object.assign({ method: method.toUpperCase(), path }, operation) as Operation,
    ),
  );
}

/** @koa/router leaves itself on the middleware that it hands to Koa. */
function routerOf({ middleware }: ReturnType<typeof createApp>): Router {
  const found = middleware.find((one): one is typeof one & { router: Router } => 'router' in one);
  if (!found) throw new Error('the application has no router');
  return found.router;
}

/** What a JSON reference within the document points to. */
function lookUp(document: object, reference: string): unknown {
  const keys = reference.replace('#/', '').split('/');
  return keys.reduce<unknown>((at, key) => (at as Record<string, unknown>)?.[key], document);
}

/** A schema that also refuses what it does not name. */
function exactly<Shape extends z.ZodRawShape>(schema: z.ZodObject<Shape>) {
  return z.strictObject(schema.shape);
}
