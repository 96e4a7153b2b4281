import { existsSync, globSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import test from 'ava';
import project from '../package.json' with { type: 'json' };
import {
  ApiConfig,
  AuditConfig,
  Config,
  MigrateConfig,
  StartConfig,
  WorkerConfig,
} from '../src/config.ts';
import { loadConfig } from '../src/config/load.ts';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const DOCUMENTS = globSync(
  ['*.md', '{docs,bench,chaos,conformance,drills}/*.md', '.github/**/*.md'],
  {
    cwd: ROOT,
  },
).sort();

const FOLDERS = /^(?:src|jobs|sql|test|conformance|chaos|drills|bench|docs|scripts)\//;
const FILE_TYPES = /\.(?:ts|mjs|sql|md|json|ya?ml|svg)$/;

function read(path: string): string {
  return readFileSync(join(ROOT, path), 'utf8');
}

/** A document without its code blocks. */
function prose(path: string): string {
  return read(path).replaceAll(/^ *```.*?^ *```/gms, '');
}

/** The anchors of a document, as GitHub derives them from its headings. */
function anchorsOf(path: string): string[] {
  return Array.from(prose(path).matchAll(/^#+ (.*)$/gm), ([, heading = '']) =>
    heading
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N} _-]/gu, '')
      .replaceAll(' ', '-'),
  );
}

/** The links of a document to files of the project, as [path, anchor]. */
function linksOf(document: string): [path: string, anchor: string | undefined][] {
  const targets = Array.from(prose(document).matchAll(/\]\(([^)\s]+)\)/g), ([, to = '']) => to);
  return targets
    .filter((to) => !/^[a-z]+:/.test(to))
    .map((to) => {
      const [path = '', anchor] = to.split('#');
      return [path === '' ? document : join(dirname(document), path), anchor];
    });
}

/** The packages that a package.json names. */
function dependenciesOf(path: string): string[] {
  const { dependencies, devDependencies, optionalDependencies } = JSON.parse(read(path)) as Record<
    string,
    Record<string, string> | undefined
  >;
  return Object.keys({ ...dependencies, ...devDependencies, ...optionalDependencies });
}

/** The names of files and folders of the project that a document has in backticks. */
function fileNamesOf(document: string): string[] {
  const spans = Array.from(prose(document).matchAll(/`([^`\n]+)`/g), ([, span = '']) => span);
  return spans
    .filter((span) => /^\w[\w.-]*(?:\/[\w.-]+)+\/?$/.test(span))
    .filter((span) => FOLDERS.test(span) || FILE_TYPES.test(span));
}

for (const document of DOCUMENTS) {
  test(`each link of ${document} to a file of the project leads to it`, (t) => {
    const broken = linksOf(document).filter(
      ([path, anchor]) =>
        !existsSync(join(ROOT, path)) ||
        (anchor !== undefined && path.endsWith('.md') && !anchorsOf(path).includes(anchor)),
    );

    t.deepEqual(broken, []);
  });

  test(`each file that ${document} names exists`, (t) => {
    const missing = fileNamesOf(document).filter((name) =>
      ['.', 'sql', dirname(document)].every((folder) => !existsSync(join(ROOT, folder, name))),
    );

    t.deepEqual(missing, []);
  });

  test(`each npm script that ${document} names exists`, (t) => {
    const named = Array.from(
      read(document).matchAll(/\bnpm run ([a-z][\w:-]*)/g),
      ([, name = '']) => name,
    );

    t.deepEqual(
      named.filter((name) => !(name in project.scripts)),
      [],
    );
  });
}

test('docs/settings.md has each setting once, with its default', (t) => {
  const rows = Array.from(
    read('docs/settings.md').matchAll(/^\| `([A-Z][A-Z0-9_]+)` \| (.*?) \|/gm),
  );

  const schemas = [ApiConfig, WorkerConfig, MigrateConfig, StartConfig, AuditConfig];
  const known = new Set(schemas.flatMap(({ shape }) => Object.keys(shape)));
  t.deepEqual(rows.map(([, name = '']) => name).sort(), [...known].sort());
  const required = { DATABASE_URL: 'postgres://localhost/orders', JWT_SECRET: 'x'.repeat(32) };
  const defaults: Record<string, unknown> = {
    ...loadConfig(Config, required),
    ...loadConfig(StartConfig, {}),
  };
  for (const [, name = '', cell = ''] of rows) {
    const value = defaults[name];
    if (name in required || (typeof value !== 'string' && typeof value !== 'number')) continue;
    t.true(cell.startsWith(`\`${value}\``), `${name}: ${cell}`);
  }
});

test('docs/dependencies.md has a sentence on each dependency', (t) => {
  const cells = read('docs/dependencies.md').matchAll(/^\| (.*?) \|/gm);
  const named = new Set(Array.from(cells, ([, cell = '']) => cell.split(', ')).flat());

  const missing = ['package.json', 'bench/package.json']
    .filter((path) => existsSync(join(ROOT, path)))
    .flatMap((path) => dependenciesOf(path))
    .filter((name) => !named.has(name) && !name.startsWith('@types/'));

  t.deepEqual(missing, []);
});

test('each document in docs/ begins with its title, and then says whom it is for', (t) => {
  for (const document of DOCUMENTS.filter((path) => path.startsWith('docs/'))) {
    t.regex(read(document), /^# .+\n\nFor /, document);
  }
});
