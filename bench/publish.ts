/*
 * npm run bench:report FILE: puts a run, as --json has written it, into the documents: docs/bench.svg, the
 * tables of bench/README.md, and the one table of README.md. What stands there is what was measured.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { exitOnFailure, ReadableError } from '../src/process.ts';
import { chart } from './chart.ts';
import { goals } from './goals.ts';
import { goalsMarkdown, reportMarkdown, type Run } from './report.ts';
import { Results } from './results.ts';

const BEGIN = '<!-- Written by npm run bench:report; do not edit. -->';
const END = '<!-- End of what npm run bench:report writes. -->';

function inRepository(path: string): URL {
  return new URL(`../${path}`, import.meta.url);
}

/** Replaces what stands between the two marks. */
function insert(path: string, content: string): void {
  const file = inRepository(path);
  const document = readFileSync(file, 'utf8');
  const from = document.indexOf(BEGIN);
  const to = document.indexOf(END);
  if (from < 0 || to < from) throw new ReadableError(`${path} has no marks "${BEGIN}", "${END}"`);
  const [before, after] = [document.slice(0, from + BEGIN.length), document.slice(to)];
  writeFileSync(file, `${before}\n\n${content.trim()}\n\n${after}`);
}

function readRun(path: string | undefined): Run {
  if (!path)
    throw new ReadableError('Usage: npm run bench:report -- FILE, as --json has written it');
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as Run;
  } catch (cause) {
    throw new ReadableError(`${path} cannot be read: ${(cause as Error).message}`, { cause });
  }
}

await exitOnFailure(async () => {
  const run = readRun(process.argv[2]);
  if (run.receipt.quick) throw new ReadableError('A quick run is not worth publishing');
  const results = new Results(run.figures);
  const missing = goals.filter(({ reached }) => Number.isNaN(reached(results).figure));
  if (missing.length > 0)
    throw new ReadableError(
      `Not a full run: without ${missing.map(({ name }) => name).join('; ')}`,
    );
  writeFileSync(inRepository('docs/bench.svg'), chart(run.figures));
  insert('bench/README.md', reportMarkdown(run));
  insert('README.md', goalsMarkdown(run));
  process.stdout.write('Written: docs/bench.svg, bench/README.md, README.md\n');
});
