import { z } from 'zod';
import type { ZodOpenApiPathsObject } from 'zod-openapi';
import { json } from '../docs/describe.ts';
import { Readiness } from './readiness.ts';

const open = { tags: ['operation'], security: [] };

/** The health and metrics paths of the OpenAPI document. */
export const healthPaths: ZodOpenApiPathsObject = {
  '/livez': {
    get: {
      operationId: 'checkLiveness',
      ...open,
      summary: 'Check that the process runs',
      responses: { 200: json(z.object({ status: z.literal('ok') }), 'The process runs') },
    },
  },
  '/readyz': {
    get: {
      operationId: 'checkReadiness',
      ...open,
      summary:
        'Check that the process can serve requests. Without Redis it is degraded, and still ready',
      responses: {
        200: json(Readiness, 'Ready, or degraded'),
        503: json(Readiness, 'The database is unreachable or not migrated, or the process stops'),
      },
    },
  },
  '/metrics': {
    get: {
      operationId: 'readMetrics',
      ...open,
      summary: 'Read metrics in the text format of Prometheus',
      responses: { 200: { description: 'Metrics', content: { 'text/plain': {} } } },
    },
  },
};
