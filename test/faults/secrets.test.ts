/*
 * Causes failures, each with a secret in the settings, and looks for the secret in everything that is printed.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from '../support/context.ts';
import { runEntryPoint, runNode, sourceFile } from '../support/entry-points.ts';
import { startApiProcess, temporaryFolder } from '../support/processes.ts';
import { testEnvironment } from '../support/template.ts';
import { testRedisUrl } from '../support/environment.ts';
import { until } from '../support/until.ts';

const SECRET = 'Geheim4711xyz';
const NOWHERE = `postgres://oms:${SECRET}@127.0.0.1:1/orders`;
const JWT_SECRET = SECRET.repeat(3);

const failures: [what: string, entry: string, env: Record<string, string>, file?: string][] = [
  ['no server', 'api.ts', { DATABASE_URL: NOWHERE, JWT_SECRET }],
  [
    'no host of a list',
    'api.ts',
    { DATABASE_URL: NOWHERE.replace(':1/', ':1,127.0.0.1:2/'), JWT_SECRET },
  ],
  ['no server for migrate', 'migrate.ts', { DATABASE_URL: NOWHERE }],
  ['no server for the audit', 'audit.ts', { AUDIT_DATABASE_URL: NOWHERE }],
  ['a password with an @', 'worker.ts', { DATABASE_URL: `postgres://oms:a@${SECRET}@db/orders` }],
  ['a password with a /', 'worker.ts', { DATABASE_URL: `postgres://oms:a/${SECRET}@db/orders` }],
  ['a password with a %', 'worker.ts', { DATABASE_URL: `postgres://oms:%${SECRET}@db/orders` }],
  ['another scheme', 'worker.ts', { DATABASE_URL: `mysql://oms:${SECRET}@db/orders` }],
  ['an unknown parameter', 'worker.ts', { DATABASE_URL: `postgres://db/orders?pasword=${SECRET}` }],
  ['a parameter without a name', 'worker.ts', { DATABASE_URL: `postgres://db/orders?${SECRET}` }],
  [
    'a password of libpq',
    'worker.ts',
    { DATABASE_URL: 'postgres://127.0.0.1:1/x', PGPASSWORD: SECRET },
  ],
  [
    'a wrong URL of Redis',
    'worker.ts',
    { DATABASE_URL: NOWHERE, REDIS_URL: `http://:${SECRET}@redis` },
  ],
  [
    'a URL of a step with a password',
    'worker.ts',
    { DATABASE_URL: NOWHERE, FULFILMENT_URL: `https://a:${SECRET}@b` },
  ],
  [
    'a secret that is no base64',
    'worker.ts',
    { DATABASE_URL: NOWHERE, FULFILMENT_SECRET: `${SECRET}!` },
  ],
  ['a short secret', 'api.ts', { DATABASE_URL: NOWHERE, JWT_SECRET: SECRET }],
  ['a number that is a secret', 'api.ts', { DATABASE_URL: NOWHERE, JWT_SECRET, PORT: SECRET }],
  ['a level that is a secret', 'api.ts', { DATABASE_URL: NOWHERE, JWT_SECRET, LOG_LEVEL: SECRET }],
  ['a wrong line in .env', 'api.ts', {}, `JWT_SECRET: ${SECRET}\nDATABASE_URL="${SECRET}\n`],
  ['a # in .env', 'api.ts', {}, `JWT_SECRET=${SECRET}#${SECRET}\nJWT_SECRETS=${SECRET}\n`],
];

for (const [what, entry, env, file] of failures) {
  test(`${what}: ${entry} ends with one line that has no secret`, async (t) => {
    const cwd = temporaryFolder(t);
    if (file !== undefined) writeFileSync(join(cwd, '.env'), file);

    const { code, stdout, stderr } = await runEntryPoint(entry, cwd, env);

    t.not(code, 0);
    t.regex(stderr, /^[^\n]+\n$/);
    t.false(`${stdout}${stderr}`.includes(SECRET), stderr);
  });
}

test('a password that Redis refuses is not logged', async (t) => {
  const url = new URL(testRedisUrl());
  url.username = 'another';
  url.password = SECRET;
  const env = { REDIS_URL: url.href, LOG_LEVEL: 'trace' };

  const api = await startApiProcess(t, testEnvironment(t.context.database, env));

  const running = api as unknown as { stdout?: () => string; stderr?: () => string };
  await until('a line about Redis', () => (running.stdout?.() ?? '').includes('redis is away'));
  t.false(`${running.stdout?.()}${running.stderr?.()}`.includes(SECRET));
});

test('an error that no code expects ends a process without the values that it carries', async (t) => {
  const script = `
    import { exitOnFailure } from ${JSON.stringify(sourceFile('process.ts'))};
    await exitOnFailure(async () => {
      setTimeout(() => {
        const cause = Object.assign(new Error('inner'), { detail: '${SECRET}' });
        throw Object.assign(new Error('outer', { cause }), { values: ['${SECRET}'] });
      });
    });
  `;

  const { code, stderr } = await runNode(
    ['--input-type=module-typescript', '-e', script],
    temporaryFolder(t),
    {},
  );

  t.is(code, 1);
  t.regex(stderr, /^Error: outer\n(\s+at .+\n)+inner\n$/);
  t.false(stderr.includes(SECRET));
});
