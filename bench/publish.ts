import { readFileSync, writeFileSync } from 'node:fs';
import { ReadableError } from '../src/process.ts';
import { answerMarkdown } from './answer.ts';
import { chart } from './chart.ts';
import { goals } from './goals.ts';
import { goalsMarkdown, reportMarkdown, type Run } from './report.ts';
import { Results } from './results.ts';

/** The marks around a generated part of a document. */
type Marks = { begin: string; end: string };

const ANSWER: Marks = {
  begin: '<!-- Answer written by npm run bench report; do not edit. -->',
  end: '<!-- End of the answer. -->',
};
const FIGURES: Marks = {
  begin: '<!-- Written by npm run bench report; do not edit. -->',
  end: '<!-- End of what npm run bench report writes. -->',
};

/**
 * npm run bench report FILE: writes the figures of a run, as --json has stored it, into the documents: docs/bench.svg,
 * the table of docs/figures.md, and the answer and the tables of bench/README.md.
 */
export async function publish([path, ...others]: string[]): Promise<void> {
  if (path === undefined || others.length > 0)
    throw new ReadableError(
      'Usage: npm run bench report FILE, with a file that --json has written',
    );
  const run = readRun(path);
  if (run.receipt.quick) throw new ReadableError('The figures of a quick run are not published');
  const results = new Results(run.figures);
  const missing = goals.filter(({ reached }) => Number.isNaN(reached(results).figure));
  if (missing.length > 0)
    throw new ReadableError(
      `Only a full run is published. Not measured: ${missing.map(({ name }) => name).join('; ')}`,
    );
  writeFileSync(inRepository('docs/bench.svg'), chart(run.figures));
  insert('docs/figures.md', FIGURES, goalsMarkdown(run));
  insert('bench/README.md', ANSWER, answerMarkdown(run));
  insert('bench/README.md', FIGURES, reportMarkdown(run));
  process.stdout.write('Written: docs/bench.svg, docs/figures.md, bench/README.md\n');
}

function readRun(path: string): Run {
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as Run;
  } catch (cause) {
    throw new ReadableError(`${path} cannot be read: ${(cause as Error).message}`, { cause });
  }
}

/** Replaces the text between two marks. */
function insert(path: string, { begin, end }: Marks, content: string): void {
  const file = inRepository(path);
  const document = readFileSync(file, 'utf8');
  const from = document.indexOf(begin);
  const to = document.indexOf(end);
  if (from < 0 || to < from) throw new ReadableError(`${path} has no marks "${begin}", "${end}"`);
  const [before, after] = [document.slice(0, from + begin.length), document.slice(to)];
  writeFileSync(file, `${before}\n\n${content.trim()}\n\n${after}`);
}

function inRepository(path: string): URL {
  return new URL(`../${path}`, import.meta.url);
}
