import { readFileSync } from 'node:fs';
import test from 'ava';
import { ApiConfig, AuditConfig, MigrateConfig, WorkerConfig } from '../src/config.ts';

const root = new URL('../', import.meta.url);
const file = readFileSync(new URL('docker-compose.yml', root), 'utf8');
const dockerfile = readFileSync(new URL('Dockerfile', root), 'utf8');
const deploy = readFileSync(new URL('scripts/deploy', root), 'utf8');
const example = readFileSync(new URL('.env.example', root), 'utf8');

const services = {
  api: { schema: ApiConfig, passwords: ['API_DATABASE_PASSWORD'] },
  worker: { schema: WorkerConfig, passwords: ['WORKER_DATABASE_PASSWORD'] },
  migrate: { schema: MigrateConfig, passwords: ['POSTGRES_PASSWORD'] },
  audit: { schema: AuditConfig.omit({ DATABASE_URL: true }), passwords: [] },
};
const SECRETS = [
  'JWT_SECRET',
  'POSTGRES_PASSWORD',
  'API_DATABASE_PASSWORD',
  'WORKER_DATABASE_PASSWORD',
];
const SERVICES = ['proxy', 'api', 'worker', 'postgres', 'redis', 'migrate', 'audit'];

for (const [service, { schema, passwords }] of Object.entries(services)) {
  test(`docker compose passes to ${service} exactly the settings that it reads`, (t) => {
    const environment = environmentOf(service);

    const names = environment.map(([name]) => name);
    const values = environment.map(([, value]) => value).join('\n');
    const passed = Array.from(values.matchAll(/\$\{(\w+)/g), ([, name = '']) => name);
    const known = new Set([...Object.keys(schema.shape), ...passwords]);
    t.deepEqual(names.sort(), Object.keys(schema.shape).sort());
    t.deepEqual(
      passed.filter((name) => !known.has(name)),
      [],
    );
  });

  test(`docker compose passes each setting to ${service} under the same name`, (t) => {
    for (const [name, value] of environmentOf(service)) {
      const passed = /^\$\{(\w+):[-?].*\}$/.exec(value)?.[1] ?? name;
      t.is(passed, name);
    }
  });
}

test('docker compose does not pass a whole file of settings (env_file) to a service', (t) => {
  t.false(/\benv_file\b/.test(file));
});

test('no secret has a default: each is required, and .env.example says how to make it', (t) => {
  const uses = Array.from(file.matchAll(/\$\{(\w+)([^}]*)\}/g));
  for (const secret of SECRETS) {
    const endings = uses.filter(([, name]) => name === secret).map(([, , ending]) => ending);
    t.true(endings.length > 0, secret);
    for (const ending of endings) t.is(ending, ':?see .env.example', secret);
    t.regex(example, new RegExp(`\\b${secret}=`));
  }
  t.regex(example, /openssl rand -hex 24/);
});

test('every container has the common rights, a bounded log, and limits of memory and processes', (t) => {
  const part = file.slice(file.indexOf('\nservices:'), file.indexOf('\nnetworks:'));
  const names = Array.from(part.matchAll(/^  (\w+):$/gm), ([, name = '']) => name);
  t.deepEqual(names.sort(), [...SERVICES].sort());
  for (const service of SERVICES) {
    const block = blockOf(service);
    t.regex(block, /^    <<: \*(container|process)$/m, service);
    t.regex(block, /^    mem_limit: /m, service);
    t.regex(block, /^    pids_limit: /m, service);
    t.notRegex(block, /privileged|cap_add|security_opt|read_only|cap_drop/, service);
  }
});

test('only the proxy publishes a port, so that other services can run more than once', (t) => {
  for (const service of SERVICES) {
    t.is(/^    (ports|container_name):/m.test(blockOf(service)), service === 'proxy', service);
  }
});

test('docker compose up neither migrates nor builds, and an image is current only after its migration', (t) => {
  t.regex(blockOf('migrate'), /^    profiles: \[deploy\]$/m);
  t.regex(blockOf('migrate'), /^    image: order-management-service:next$/m);
  t.is(Array.from(file.matchAll(/^    build:/gm)).length, 1);
  t.notRegex(file, /migrate: \{ condition/);
  const migrates = deploy.indexOf('docker compose run --rm migrate');
  const tags = deploy.indexOf('docker tag "$image:next"');
  t.true(migrates > 0 && tags > migrates);
});

test('a container gets more time to stop than its process takes', (t) => {
  const drain = Number(/\$\{DRAIN_SECONDS:-(\d+)\}/.exec(file)?.[1]);
  const shutdown = ApiConfig.shape.SHUTDOWN_TIMEOUT_SECONDS.parse(undefined);
  t.true(grace('api') > drain + shutdown + 2);
  t.true(grace('worker') > shutdown + 2);
  t.is(Number(/^stop_timeout=(\d+)/m.exec(deploy)?.[1]), grace('api'));
});

test('the image has the commands that its Dockerfile names, each with its file', (t) => {
  const commands = Array.from(dockerfile.matchAll(/scripts\.(\w+)='node (src\/[\w-]+\.ts)'/g));
  t.deepEqual(
    commands.map(([, name]) => name),
    ['api', 'worker', 'migrate', 'audit'],
  );
  const named = Array.from(file.matchAll(/\bnode, (src\/[\w-]+\.ts)/g), ([, path = '']) => path);
  for (const program of [...named, ...commands.map(([, , path = '']) => path)]) {
    t.regex(readFileSync(new URL(program, root), 'utf8'), /import\.meta\.main/, program);
  }
});

/** The seconds that Docker gives a service from SIGTERM to SIGKILL. */
function grace(service: string): number {
  return Number(/stop_grace_period: (\d+)s/.exec(blockOf(service))?.[1]);
}

/** The lines of a service in docker-compose.yml. */
function blockOf(service: string): string {
  return new RegExp(`^  ${service}:\\n((?:    .*\\n)+)`, 'm').exec(file)?.[1] ?? '';
}

/** Names and values under `environment:` of a service. Each is one plain line of our file. */
function environmentOf(service: string): [name: string, value: string][] {
  const lines = /^    environment:\n((?: {6}.*\n)+)/m.exec(blockOf(service))?.[1] ?? '';
  const pairs = lines.matchAll(/^ {6}(\w+): (.*?)(?: #.*)?$/gm);
  return Array.from(pairs, ([, name = '', value = '']) => [name, value]);
}
