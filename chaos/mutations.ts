/*
 * npm run chaos:mutations [-- WORD…]: a mutation is a small change of the code that breaks a promise. This command
 * applies one mutation after the other, and checks that its detector notices it: a test in chaos/detectors, or a run
 * of chaos. A mutation must change code that runs: an object of a migrated database, or a module that the API or a
 * worker loads. With words, the command runs only the mutations whose names contain one of them. Exit code 0: all are
 * noticed; 1: one is not, or the command failed.
 *
 * All mutations share one Postgres and one Redis. A mutation of SQL runs on a copy of the migrated template database,
 * migrated again from the mutated files. A mutation of TypeScript runs in a copy of the tree.
 */
import { spawn } from 'node:child_process';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { pathToFileURL } from 'node:url';
import pLimit from 'p-limit';
import { pino } from 'pino';
import { OWN_SOURCES } from '../src/db/migrate/sources.ts';
import { migrate } from '../src/migrate.ts';
import { ReadableError, exitOnFailure, explain } from '../src/process.ts';
import { cacheCompiledModules, passOn } from '../test/support/environment.ts';
import { openTestServers } from '../test/support/servers.ts';
import {
  copyTemplate,
  createTemplate,
  databaseUrl,
  onServer,
  testConfig,
} from '../test/support/template.ts';
import { mutations } from './mutations/list.ts';
import type { Detector, Edit, Mutation } from './mutations/mutation.ts';
import {
  changedObjects,
  includesObject,
  moduleGraph,
  readDefinitions,
  type Definitions,
} from './mutations/running-code.ts';
import { checkEdits, copySql, copyTree, ROOT } from './mutations/trees.ts';

const AT_ONCE = 3;
const TIMEOUT_MS = 240_000;
const LINE_LENGTH_MAX = 100;
const TEMPLATE = `oms_mutation_template_${process.pid}`;

type Outcome = { code: number | null; output: string };
/** One line of the result: the changed objects and modules, and the line of output that notices the mutation. */
type Row = { name: string; noticed: boolean; changed: string; noticedBy: string; seconds: number };

async function run(args: string[], cwd: string, env: NodeJS.ProcessEnv): Promise<Outcome> {
  const options = { cwd, env: { ...process.env, ...env } };
  const child = spawn(process.execPath, args, { ...options, stdio: ['ignore', 'pipe', 'pipe'] });
  const timer = setTimeout(() => child.kill('SIGTERM'), TIMEOUT_MS);
  const exited = new Promise<number | null>((resolve) => child.once('close', resolve));
  const [code, out, err] = await Promise.all([exited, text(child.stdout), text(child.stderr)]);
  clearTimeout(timer);
  return { code, output: out + err };
}

const ava = (...args: string[]) => ['node_modules/ava/entrypoints/cli.js', '--tap', ...args];

/** Runs the detectors without a mutation. They must pass; otherwise a failure with a mutation proves nothing. */
async function requirePassing(chosen: Mutation[]): Promise<void> {
  const files = chosen.flatMap(({ detector }) => ('test' in detector ? detector.test : []));
  if (files.length === 0) return;
  const startedAt = performance.now();
  const { code, output } = await run(ava(...new Set(files)), ROOT, { TEST_TEMPLATE: TEMPLATE });
  if (code !== 0) throw new ReadableError(`The tests fail without a mutation:\n${output}`);
  for (const { name, detector } of chosen) {
    if ('test' in detector && !passes(output, detector.title))
      throw new ReadableError(
        `The mutation "${name}" names a test that does not exist: ${detector.title}`,
      );
  }
  process.stdout.write(`All tests pass without a mutation (${secondsSince(startedAt)} s)\n`);
}

function passes(output: string, title: string): boolean {
  return output.split('\n').some((line) => /^ok \d/.test(line) && line.endsWith(title));
}

/** Migrates a template from mutated files. Returns the changed objects, which must include the object of each edit. */
async function mutateTemplate(
  template: string,
  edits: Edit[],
  unmutated: Definitions,
): Promise<string[]> {
  const dir = copySql(edits);
  try {
    await copyTemplate(template);
    const sources = { ...OWN_SOURCES, dir: pathToFileURL(join(dir, 'sql/')) };
    await migrate(testConfig(template), pino({ level: 'silent' }), {}, { sources });
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
  const changed = changedObjects(unmutated, await readDefinitions(databaseUrl(template)));
  for (const { file, object = '' } of edits) {
    if (!includesObject(changed, object))
      throw new ReadableError(
        `The edit of ${file} changes ${changed.join(', ') || 'nothing'} instead of ${object}`,
      );
  }
  return changed;
}

function at(file: string): URL {
  return pathToFileURL(join(ROOT, file));
}

/** The edited modules. Throws when neither the API nor a worker loads one of them. */
function loadedModules(edits: Edit[]): string[] {
  const loaded = moduleGraph([at('src/api.ts'), at('src/worker.ts')]);
  for (const { file } of edits) {
    if (!loaded.has(at(file).href))
      throw new ReadableError(`Neither the API nor a worker loads ${file}`);
  }
  return edits.map(({ file }) => file);
}

async function tryOne(
  { name, edits, detector }: Mutation,
  number: number,
  unmutated: Definitions,
): Promise<Row> {
  const startedAt = performance.now();
  const template = `${TEMPLATE}_${number}`;
  const inSql = edits.filter(({ file }) => file.startsWith('sql/'));
  const inModules = edits.filter((edit) => !inSql.includes(edit));
  const isTreeNeeded = inModules.length > 0 || 'chaos' in detector;
  const tree = isTreeNeeded ? copyTree(edits) : undefined;
  try {
    const modules = loadedModules(inModules);
    const objects = inSql.length > 0 ? await mutateTemplate(template, inSql, unmutated) : [];
    const database = inSql.length > 0 ? template : TEMPLATE;
    const outcome = await detect(detector, tree ?? ROOT, database);
    const noticedBy = noticingLine(detector, outcome.output)?.slice(0, LINE_LENGTH_MAX) ?? '';
    const noticed = outcome.code === 1 && noticedBy !== '';
    if (!noticed) process.stdout.write(`${outcome.output}\nexit code ${outcome.code}\n`);
    const changed = [...objects, ...modules].join(', ');
    return { name, noticed, changed, noticedBy, seconds: secondsSince(startedAt) };
  } finally {
    if (tree) rmSync(tree, { recursive: true, force: true });
    if (inSql.length > 0) await onServer(`DROP DATABASE IF EXISTS ${template} WITH (FORCE)`);
  }
}

/** The row of a mutation that could not be applied. It fails the run, but not the other mutations. */
function notApplied({ name }: Mutation, error: unknown): Row {
  return { name, noticed: false, changed: 'not applied', noticedBy: explain(error), seconds: 0 };
}

function detect(detector: Detector, tree: string, template: string): Promise<Outcome> {
  if ('test' in detector) {
    return run(ava(detector.test, `--match=${detector.title}`), tree, { TEST_TEMPLATE: template });
  }
  const { seed, seconds } = detector;
  return run(['chaos/main.ts', '--seed', String(seed), '--seconds', String(seconds)], tree, {});
}

/** The line of the output that reports that a mutation was noticed. */
function noticingLine(detector: Detector, output: string): string | undefined {
  const lines = output.split('\n');
  if ('test' in detector)
    return lines.find((line) => /^not ok \d/.test(line) && line.endsWith(detector.title));
  return lines.find((line) => line.startsWith(detector.chaos) && / [1-9]\d*$/.test(line));
}

function secondsSince(startedAt: number): number {
  return Math.round((performance.now() - startedAt) / 100) / 10;
}

function show({ name, noticed, changed, noticedBy, seconds }: Row): string {
  const cells = [name, noticed ? 'noticed' : 'NOT NOTICED', changed, noticedBy, `${seconds} s`];
  return `| ${cells.map((cell) => cell.replaceAll('|', '/')).join(' | ')} |`;
}

async function tryAll(chosen: Mutation[]): Promise<Row[]> {
  await createTemplate(TEMPLATE);
  try {
    const unmutated = await readDefinitions(databaseUrl(TEMPLATE));
    await requirePassing(chosen);
    const limit = pLimit(AT_ONCE);
    return await Promise.all(
      chosen.map((mutation, number) =>
        limit(async () => {
          const row = await tryOne(mutation, number, unmutated).catch((error: unknown) =>
            notApplied(mutation, error),
          );
          process.stdout.write(`${show(row)}\n`);
          return row;
        }),
      ),
    );
  } finally {
    await onServer(`DROP DATABASE IF EXISTS ${TEMPLATE} WITH (FORCE)`);
  }
}

await exitOnFailure(async () => {
  const startedAt = performance.now();
  const words = process.argv.slice(2);
  const chosen = mutations.filter(
    ({ name }) => words.length === 0 || words.some((word) => name.includes(word)),
  );
  if (chosen.length === 0)
    throw new ReadableError(`No mutation has a name that contains ${words.join(' or ')}`);
  for (const { edits } of chosen) checkEdits(edits);
  const servers = await openTestServers();
  passOn({ ...servers, template: TEMPLATE });
  cacheCompiledModules();
  try {
    const rows = await tryAll(chosen);
    process.stdout.write(
      '\n| mutation | | changes | noticed by | took |\n| --- | --- | --- | --- | --- |\n',
    );
    process.stdout.write(`${rows.map(show).join('\n')}\n`);
    const missed = rows.filter(({ noticed }) => !noticed);
    process.stdout.write(
      `${rows.length - missed.length} of ${rows.length} noticed, ${secondsSince(startedAt)} s\n`,
    );
    process.exitCode = missed.length === 0 ? 0 : 1;
  } finally {
    await servers.stop();
  }
});
