import { readFile } from 'node:fs/promises';
import { Router } from '@koa/router';
import type { ApiDeps } from '../deps.ts';
import { problems } from '../http/problem.ts';
import { createOpenApi } from './openapi.ts';

/** One self-contained file, which scripts/viewer.mjs takes out of its package. */
const VIEWER = new URL('../../node_modules/.viewer/standalone.js', import.meta.url);

const SETTINGS = JSON.stringify({
  withDefaultFonts: false,
  telemetry: false,
  agent: { disabled: true },
  mcp: { disabled: true },
  showDeveloperTools: 'never',
});

const PAGE = `<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8" />
    <meta name="viewport" content="width=device-width, initial-scale=1" />
    <title>Order Management API</title>
  </head>
  <body>
    <script id="api-reference" data-url="/openapi.json" data-configuration='${SETTINGS}'></script>
    <script src="/docs/viewer.js"></script>
  </body>
</html>
`;

/** The documentation of the API: pages, the OpenAPI document, and the problems. The pages load nothing from a CDN. */
export function docsRoutes({ config }: Pick<ApiDeps, 'config'>) {
  const router = new Router();
  const openApi = createOpenApi(config);

  router.get('/', (ctx) => {
    ctx.body = { msg: 'Order Management API', docs: '/docs', openapi: '/openapi.json' };
  });

  router.get('/openapi.json', (ctx) => {
    ctx.body = openApi;
  });

  router.get('/docs', (ctx) => {
    ctx.type = 'html';
    ctx.body = PAGE;
  });

  router.get('/docs/viewer.js', async (ctx) => {
    ctx.type = 'js';
    ctx.set('Cache-Control', 'public, max-age=86400');
    ctx.body = await readFile(VIEWER).catch(() =>
      ctx.throw(404, 'The documentation viewer is not installed.'),
    );
  });

  router.get('/problems', (ctx) => {
    ctx.body = Object.entries(problems).map(describeProblem);
  });

  router.get('/problems/:slug', (ctx) => {
    const found = Object.entries(problems).find(([slug]) => slug === ctx.params.slug);
    if (found) ctx.body = describeProblem(found);
  });

  return router;
}

function describeProblem([slug, problem]: [string, { status: number; title: string }]) {
  return { type: `/problems/${slug}`, ...problem };
}
