// node scripts/lint/openapi.ts: checks the OpenAPI document with the linter of Redocly (redocly.yaml).
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Config } from '../../src/config.ts';
import { inheritedEnvironment, loadConfig } from '../../src/config/load.ts';
import { createOpenApi } from '../../src/docs/openapi.ts';

const config = loadConfig(Config, {
  DATABASE_URL: 'postgres://localhost/orders',
  JWT_SECRET: 'of no use, only long enough to be accepted',
});
const dir = mkdtempSync(join(tmpdir(), 'oms-openapi-'));
try {
  const file = join(dir, 'openapi.json');
  writeFileSync(file, JSON.stringify(createOpenApi(config)));
  const { status } = spawnSync(
    process.execPath,
    [
      'node_modules/@redocly/cli/bin/cli.js',
      'lint',
      file,
      '--config',
      'redocly.yaml',
      '--max-problems',
      '20',
    ],
    {
      stdio: ['ignore', 'inherit', 'inherit'],
      env: {
        ...inheritedEnvironment(),
        REDOCLY_TELEMETRY: 'off',
        REDOCLY_SUPPRESS_UPDATE_NOTICE: 'true',
      },
    },
  );
  process.exitCode = status ?? 1;
} finally {
  rmSync(dir, { recursive: true });
}
