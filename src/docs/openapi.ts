import {
  createDocument,
  type ZodOpenApiOperationObject,
  type ZodOpenApiPathsObject,
} from 'zod-openapi';
import type { Config } from '../config.ts';
import { healthPaths } from '../health/openapi.ts';
import { orderPaths } from '../orders/openapi.ts';
import { userPaths } from '../users/openapi.ts';
import { problemResponses } from './describe.ts';

/** Creates the OpenAPI 3.1 document of the API, from the schemas that parse the requests. */
export function createOpenApi(config: Pick<Config, 'PASSWORD_MIN_LENGTH'>) {
  const paths: ZodOpenApiPathsObject = {
    ...withCommonReplies({ ...userPaths(config), ...orderPaths }),
    ...healthPaths,
  };
  return createDocument({
    openapi: '3.1.0',
    info: {
      title: 'Order Management API',
      version: '1.0.0',
      description:
        'Place, list, follow and cancel orders. An order is never lost, never processed twice and never stranded. ' +
        'Every error, except a 503 of /readyz, is an RFC 9457 problem. Amounts are decimal strings.',
      license: { name: 'MIT', identifier: 'MIT' },
    },
    servers: [{ url: '/' }],
    tags: [
      { name: 'orders', description: 'Your orders' },
      { name: 'auth', description: 'Accounts and sessions' },
      { name: 'operation', description: 'For those who run the service' },
    ],
    components: {
      securitySchemes: {
        bearer: { type: 'http', scheme: 'bearer', bearerFormat: 'JWT' },
        refresh_cookie: { type: 'apiKey', in: 'cookie', name: '__Host-refresh_token' },
      },
    },
    paths,
  });
}

/** Adds the replies that every operation can have: 429 over its limit, 503 when the service or its database is busy. */
function withCommonReplies(paths: ZodOpenApiPathsObject): ZodOpenApiPathsObject {
  const entries = Object.entries(paths).map(([path, item]) => {
    const operations = Object.entries(item).map(([method, operation]) => [
      method,
      withReplies(operation as ZodOpenApiOperationObject),
    ]);
    return [path, Object.fromEntries(operations)];
  });
  return Object.fromEntries(entries) as ZodOpenApiPathsObject;
}

function withReplies({ responses, ...operation }: ZodOpenApiOperationObject) {
  return {
    ...operation,
    responses: {
      ...problemResponses('quota-exceeded'),
      ...responses,
      ...problemResponses('overloaded', 'unavailable'),
    },
  };
}
