import { z } from 'zod';
import type { ZodOpenApiPathsObject } from 'zod-openapi';
import { json } from '../docs/describe.ts';
import { PlainReadiness } from './readiness.ts';

const open = { tags: ['operation'], security: [] };

/** The health paths of the OpenAPI document. It leaves out the paths of METRICS_PORT, which are for operators. */
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
      summary: 'Check that the process can serve requests. Without Redis, it is degraded but ready',
      responses: {
        200: json(PlainReadiness, 'Ready, or degraded'),
        503: json(
          PlainReadiness,
          'The database cannot be used, orders are stuck, or the process is stopping',
        ),
      },
    },
  },
};
