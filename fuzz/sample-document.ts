import { Config } from '../src/config.ts';
import { loadConfig } from '../src/config/load.ts';
import { createOpenApi } from '../src/docs/openapi.ts';
import type { Document } from './document.ts';

/** The OpenAPI document of the service, for tests that need no running API. */
export function sampleDocument(): Document {
  const config = loadConfig(Config, {
    DATABASE_URL: 'postgres://localhost/orders',
    JWT_SECRET: 'of no use, only long enough to be accepted',
  });
  return JSON.parse(JSON.stringify(createOpenApi(config))) as Document;
}
