import { readFileSync } from 'node:fs';
import test from 'ava';
import { ApiConfig, MigrateConfig, WorkerConfig } from '../src/config.ts';

const file = readFileSync(new URL('../docker-compose.yml', import.meta.url), 'utf8');

const services = {
  api: { schema: ApiConfig, passwords: ['API_DATABASE_PASSWORD'] },
  worker: { schema: WorkerConfig, passwords: ['WORKER_DATABASE_PASSWORD'] },
  migrate: { schema: MigrateConfig, passwords: ['POSTGRES_PASSWORD'] },
};

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

/** Names and values under `environment:` of a service. Each is one plain line of our file. */
function environmentOf(service: string): [name: string, value: string][] {
  const block = new RegExp(`^  ${service}:\\n((?:    .*\\n)+)`, 'm').exec(file)?.[1] ?? '';
  const lines = /^    environment:\n((?: {6}.*\n)+)/m.exec(block)?.[1] ?? '';
  const pairs = lines.matchAll(/^ {6}(\w+): (.*?)(?: #.*)?$/gm);
  return Array.from(pairs, ([, name = '', value = '']) => [name, value]);
}
