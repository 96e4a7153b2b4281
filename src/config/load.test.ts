import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from '../../test/support/context.ts';
import { runEntryPoint, runNode, sourceFile } from '../../test/support/entry-points.ts';
import { temporaryFolder } from '../../test/support/processes.ts';
import { loadConfig } from './load.ts';
import { Config, WorkerConfig } from '../config.ts';

const JWT_SECRET = 'a-secret-of-at-least-32-characters';

test('a process reads only its own settings from the file .env', async (t) => {
  const cwd = temporaryFolder(t);
  const lines = [`JWT_SECRET=${JWT_SECRET}`, 'FULFILMENT_SECRET=c2VjcmV0', 'OTHER=x'];
  writeFileSync(join(cwd, '.env'), lines.join('\n'));
  const script = `
    import { ApiConfig, WorkerConfig } from ${JSON.stringify(sourceFile('config.ts'))};
    import { readEnvironment } from ${JSON.stringify(sourceFile('config/load.ts'))};
    const names = [ApiConfig, WorkerConfig].map((schema) => Object.keys(readEnvironment(schema)));
    console.log(JSON.stringify([...names, Object.keys(process.env)]));
  `;

  const { stdout, stderr } = await runNode(['--input-type=module-typescript', '-e', script], cwd, {
    PORT: '0',
  });

  t.is(stderr, 'Warning: OTHER in .env is not a setting of the service\n'.repeat(2));
  t.deepEqual(JSON.parse(stdout), [['PORT', 'JWT_SECRET'], ['FULFILMENT_SECRET'], ['PORT']]);
});

test('the environment takes precedence over the file .env in the working directory', async (t) => {
  const cwd = temporaryFolder(t);
  writeFileSync(join(cwd, '.env'), `JWT_SECRET=${JWT_SECRET}\nPORT=nonsense\nHOST=\n`);

  const fromFile = await runEntryPoint('api.ts', cwd, {});
  const overruled = await runEntryPoint('api.ts', cwd, { PORT: '0' });

  t.regex(fromFile.stderr, /^Configuration: DATABASE_URL is required; PORT [^;]*\n$/);
  t.is(overruled.stderr, 'Configuration: DATABASE_URL is required\n');
});

const URL_OF_STEP = 'http://127.0.0.1:1/step';

for (const [what, content, env, expected] of [
  [
    'a file that Windows has saved, with a byte order mark',
    `\uFEFFFULFILMENT_URL=${URL_OF_STEP}\r\nLOG_LEVEL=loud\r\n`,
    {},
    /^Configuration: DATABASE_URL is required; LOG_LEVEL [^;]*; FULFILMENT_SECRET is required when/,
  ],
  [
    'a misspelt name in .env',
    `FULFILLMENT_URL=${URL_OF_STEP}\nDATABASE_URL=postgres://127.0.0.1:1/x\n`,
    {},
    /^Configuration: FULFILLMENT_URL in \.env is not a setting: write FULFILMENT_URL\n$/,
  ],
  [
    'a misspelt name of the external step in the environment',
    '',
    { FULFILLMENT_URL: URL_OF_STEP, DATABASE_URL: 'postgres://127.0.0.1:1/x' },
    /^Configuration: FULFILLMENT_URL in the environment is not a setting: write FULFILMENT_URL\n$/,
  ],
  [
    'another misspelt name in the environment',
    '',
    { WORKER_BATCHSIZE: '5', DATABASE_URL: 'postgres://127.0.0.1:1/x' },
    /^Warning: WORKER_BATCHSIZE in the environment is not a setting: write WORKER_BATCH_SIZE\nNothing/,
  ],
] as const) {
  test(`a worker does not ignore ${what}`, async (t) => {
    const cwd = temporaryFolder(t);
    writeFileSync(join(cwd, '.env'), content);

    const { code, stderr } = await runEntryPoint('worker.ts', cwd, env);

    t.regex(stderr, expected);
    t.not(code, 0);
  });
}

test('variables of other programs are not mentioned', async (t) => {
  const others = {
    REDIS_PORT: 'tcp://10.0.0.1',
    HOSTNAME: 'x',
    PORTS: '1',
    HTTP_PROXY: '',
    TERM: 'x',
  };

  const { stderr } = await runEntryPoint('worker.ts', temporaryFolder(t), others);

  t.is(stderr, 'Configuration: DATABASE_URL is required\n');
});

test('the variables of libpq complete DATABASE_URL, and a mistake in them is named', (t) => {
  const env = { JWT_SECRET, DATABASE_URL: 'postgres:///orders', PGHOST: 'db', PGUSER: 'ada' };

  t.is(loadConfig(Config, env).DATABASE_URL, 'postgres://ada@db/orders');
  t.throws(() => loadConfig(WorkerConfig, { ...env, PGSSLMODE: 'sometimes' }), {
    message:
      'DATABASE_URL, with the variables PG… of libpq, has a parameter sslmode whose value is not supported',
  });
});
