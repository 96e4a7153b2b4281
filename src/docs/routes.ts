import { readFile } from 'node:fs/promises';
import { Router } from '@koa/router';
import type { ApiDeps } from '../deps.ts';
import { problems } from '../http/problem.ts';
import { createDocument, jsonDocument, sendDocument, type Document } from './document.ts';
import { createOpenApi } from './openapi.ts';

/** One self-contained file, which scripts/viewer.mjs copies from its package. */
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

const HOUR_SECONDS = 3600;
const DAY_SECONDS = 24 * HOUR_SECONDS;

/** The documentation of the API: pages, the OpenAPI document, and the problems. The pages load nothing from a CDN. */
export function docsRoutes({ config }: Pick<ApiDeps, 'config'>) {
  const router = new Router();
  const descriptions = Object.entries(problems).map(describeProblem);
  const root = { msg: 'Order Management API', docs: '/docs', openapi: '/openapi.json' };
  const documents = {
    '/': jsonDocument(root, HOUR_SECONDS),
    '/openapi.json': jsonDocument(createOpenApi(config), HOUR_SECONDS),
    '/docs': createDocument('text/html; charset=utf-8', PAGE, HOUR_SECONDS),
    '/problems': jsonDocument(descriptions, HOUR_SECONDS),
  };
  const documentsBySlug = new Map(
    Object.entries(problems).map((entry) => [
      entry[0],
      jsonDocument(describeProblem(entry), HOUR_SECONDS),
    ]),
  );

  for (const [path, document] of Object.entries(documents)) {
    router.get(path, (ctx) => sendDocument(ctx, document));
  }

  let viewer: Promise<Document | null> | undefined; // read at the first request: most processes never serve it
  router.get('/docs/viewer.js', async (ctx) => {
    viewer ??= readViewer();
    const document = await viewer;
    if (document) sendDocument(ctx, document);
    else ctx.throw(404, 'The documentation viewer is not installed.');
  });

  router.get('/problems/:slug', (ctx) => {
    const document = documentsBySlug.get(ctx.params.slug ?? '');
    if (document) sendDocument(ctx, document);
  });

  return router;
}

function readViewer(): Promise<Document | null> {
  return readFile(VIEWER).then(
    (bytes) => createDocument('text/javascript; charset=utf-8', bytes, DAY_SECONDS),
    () => null,
  );
}

function describeProblem([slug, problem]: [string, { status: number; title: string }]) {
  return { type: `/problems/${slug}`, ...problem };
}
