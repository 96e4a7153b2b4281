import type { Router } from '@koa/router';
import { z } from 'zod';
import { createApp } from '../app.ts';
import { PlainReadiness } from '../health/readiness.ts';
import { ProblemDetails } from '../http/problem.ts';
import { OrderEvent } from '../orders/events.ts';
import { Order, OrderPage } from '../orders/schema.ts';
import { logIn, refresh, refreshTokenOf, register } from '../../test/support/accounts.ts';
import { send, signUp, test } from '../../test/support/context.ts';
import { AccessToken, User } from '../users/schema.ts';

// The routes of the documentation itself, which the OpenAPI document leaves out.
const DOCUMENTATION = new Set(['/', '/docs', '/docs/viewer.js', '/openapi.json', '/problems']);

test('the OpenAPI document describes every route, and no other', async (t) => {
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

test('the document is OpenAPI 3.1, and every reference in it has a target', async (t) => {
  const { status, body } = await send(t.context.origin, 'GET', '/openapi.json');

  t.is(status, 200);
  t.regex(body.openapi, /^3\.1\.\d$/);
  const references = [...JSON.stringify(body).matchAll(/"\$ref":"([^"]+)"/g)].map(([, ref]) => ref);
  t.true(references.length > 10);
  for (const reference of references) t.truthy(lookUp(body, reference ?? ''), reference);
  const schemes = operationsOf(body).flatMap(({ security = [] }) => security.flatMap(Object.keys));
  for (const scheme of schemes) t.truthy(body.components.securitySchemes[scheme], scheme);
});

test('every operation has a summary, a tag, a successful reply, and its path parameters', async (t) => {
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

test('every operation has an id of its own, and says whether it needs a token', async (t) => {
  const { body } = await send(t.context.origin, 'GET', '/openapi.json');
  const operations = operationsOf(body);

  const ids = operations.map(({ operationId }) => operationId);
  t.is(new Set(ids).size, operations.length);
  for (const { operationId = '', security } of operations) {
    t.regex(operationId, /^[a-z][A-Za-z]+$/);
    t.true(Array.isArray(security), operationId);
  }
});

test('exactly the operations of the original API are marked as deprecated, and their replies say so', async (t) => {
  const { body } = await send(t.context.origin, 'GET', '/openapi.json');
  const user = await signUp(t.context);
  const id = await user.place();

  for (const { method, path, deprecated = false } of operationsOf(body)) {
    const sample = path.replace('{id}', id);
    const known = await user.request(method, sample);
    const stranger = await send(t.context.origin, method, sample);
    for (const { headers } of [known, stranger]) {
      t.is(headers.has('deprecation'), deprecated, `${method} ${path}`);
      t.is(headers.has('sunset'), false);
    }
  }
});

test('the document marks exactly the operations that require an access token', async (t) => {
  const { body } = await send(t.context.origin, 'GET', '/openapi.json');

  for (const { method, path, security = [] } of operationsOf(body)) {
    if (path === '/auth/refresh' || path === '/auth/login') continue; // their 401 means wrong credentials
    const sample = path.replace('{id}', '01890000-0000-7000-8000-000000000000');
    const { status } = await send(t.context.origin, method, sample);
    t.is(status === 401, 'bearer' in (security[0] ?? {}), `${method} ${path}`);
  }
});

test('the documentation page loads nothing from other servers', async (t) => {
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

test('the root links to the documentation and the OpenAPI document', async (t) => {
  const { body } = await send(t.context.origin, 'GET', '/');

  t.is((await send(t.context.origin, 'GET', body.docs)).status, 200);
  t.is((await send(t.context.origin, 'GET', body.openapi)).status, 200);
});

test('replies about accounts have exactly the described fields', async (t) => {
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

test('replies about orders have exactly the described fields', async (t) => {
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

test('replies about health and problems are as described', async (t) => {
  const ready = await send(t.context.origin, 'GET', '/readyz');
  const missing = await send(t.context.origin, 'GET', '/nowhere');
  const invalid = await register(t.context, { name: '', unknown: 1 });

  const described = [
    exactly(PlainReadiness).safeParse(ready.body),
    ProblemDetails.safeParse(missing.body),
    ProblemDetails.required({ errors: true, detail: true }).safeParse(invalid.body),
  ];

  for (const { error } of described) t.is(error, undefined);
});

type Operation = {
  method: string;
  path: string;
  operationId?: string;
  deprecated?: boolean;
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

/** @koa/router keeps itself as a property of its middleware. */
function routerOf({ middleware }: ReturnType<typeof createApp>): Router {
  const found = middleware.find((one): one is typeof one & { router: Router } => 'router' in one);
  if (!found) throw new Error('the application has no router');
  return found.router;
}

/** Returns the target of a JSON reference in the document. */
function lookUp(document: object, reference: string): unknown {
  const keys = reference.replace('#/', '').split('/');
  return keys.reduce<unknown>((at, key) => (at as Record<string, unknown>)?.[key], document);
}

/** The same schema, but it refuses unknown fields. */
function exactly<Shape extends z.ZodRawShape>(schema: z.ZodObject<Shape>) {
  return z.strictObject(schema.shape);
}
