import { z } from 'zod';
import type { ZodOpenApiPathsObject } from 'zod-openapi';
import { json } from '../docs/describe.ts';
import { Readiness } from './readiness.ts';

const tags = ['operation'];

/** Health and metrics in the OpenAPI document. */
export const healthPaths: ZodOpenApiPathsObject = {
  '/livez': {
    get: {
      tags,
      summary: 'The process runs',
      responses: { 200: json(z.object({ status: z.literal('ok') }), 'It does') },
    },
  },
  '/readyz': {
    get: {
      tags,
      summary: 'The process can serve; without Redis it is degraded, and still ready',
      responses: {
        200: json(Readiness, 'Ready, or degraded'),
        503: json(Readiness, 'The database is away, or not migrated'),
      },
    },
  },
  '/metrics': {
    get: {
      tags,
      summary: 'Metrics in Prometheus text format',
      responses: { 200: { description: 'Metrics', content: { 'text/plain': {} } } },
    },
  },
};
