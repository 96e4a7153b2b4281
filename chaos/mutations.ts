/*
 * npm run chaos:mutations [-- WORD…]: breaks a copy of the code in one way after the other, and shows that
 * each is noticed: by the chaos harness, by the audit at its end, or by a test. Exit code 0 when all are.
 * With words, only the mutations whose names contain one.
 */
import { spawn, spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { ReadableError, exitOnFailure } from '../src/process.ts';
import { mutations, type Edit, type Mutation } from './mutation-list.ts';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const TIMEOUT_MS = 300_000;
const SIGN_LENGTH_MAX = 110;

type Outcome = { code: number | null; output: string; seconds: number };
type Row = { name: string; noticed: boolean; by: string; sign: string; seconds: number };

/** A copy of what is tracked, with these edits. Throws when the text to replace is not there once. */
function copyTree(edits: Edit[]): string {
  const { stdout, status } = spawnSync('git', ['ls-files', '-z'], { cwd: ROOT, encoding: 'utf8' });
  if (status !== 0)
    throw new ReadableError('the tree is copied by what git tracks: run it in a checkout');
  const dir = mkdtempSync(join(tmpdir(), 'oms-mutation-'));
  for (const file of stdout.split('\0').filter(Boolean)) cpSync(join(ROOT, file), join(dir, file));
  symlinkSync(join(ROOT, 'node_modules'), join(dir, 'node_modules'));
  for (const { file, from, to } of edits) {
    const before = readFileSync(join(dir, file), 'utf8');
    const found = before.split(from).length - 1;
    if (found !== 1) {
      rmSync(dir, { recursive: true, force: true });
      throw new ReadableError(`${file} has this ${found} times, not once: ${from.trim()}`);
    }
    writeFileSync(
      join(dir, file),
      before.replace(from, () => to),
    );
  }
  return dir;
}

async function runIn(cwd: string, args: string[]): Promise<Outcome> {
  const startedAt = Date.now();
  const child = spawn(process.execPath, args, { cwd, stdio: ['ignore', 'pipe', 'pipe'] });
  const timer = setTimeout(() => child.kill('SIGTERM'), TIMEOUT_MS);
  const exited = new Promise<number | null>((resolve) => child.once('close', resolve));
  const [code, out, err] = await Promise.all([exited, text(child.stdout), text(child.stderr)]);
  clearTimeout(timer);
  return { code, output: out + err, seconds: Math.round((Date.now() - startedAt) / 1000) };
}

async function withTree<T>(edits: Edit[], act: (dir: string) => Promise<T>): Promise<T> {
  const dir = copyTree(edits);
  try {
    return await act(dir);
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

/** Without any mutation the same commands must succeed, or else their failing would mean nothing. */
async function requireHealthy(chosen: Mutation[]): Promise<void> {
  const commands = new Set(chosen.map(({ detector }) => detector.args.join(' ')));
  for (const command of commands) {
    const { code, output, seconds } = await withTree([], (dir) => runIn(dir, command.split(' ')));
    if (code !== 0) throw new ReadableError(`without a mutation, ${command} fails:\n${output}`);
    process.stdout.write(`healthy: ${command} (${seconds} s)\n`);
  }
}

async function tryOut({ name, edits, detector }: Mutation): Promise<Row> {
  const { code, output, seconds } = await withTree(edits, (dir) => runIn(dir, detector.args));
  const sign = detector.sign.exec(output)?.[0].slice(0, SIGN_LENGTH_MAX) ?? '';
  const noticed = code === 1 && sign !== '';
  if (!noticed) process.stdout.write(`${output}\nexit code ${code}, and not ${detector.sign}\n`);
  return { name, noticed, by: detector.args.join(' '), sign, seconds };
}

function show({ name, noticed, by, sign, seconds }: Row): string {
  return `| ${name} | ${noticed ? 'noticed' : 'NOT NOTICED'} | ${by} | ${sign.replaceAll('|', '/')} | ${seconds} s |`;
}

await exitOnFailure(async () => {
  const words = process.argv.slice(2);
  const chosen = mutations.filter(
    ({ name }) => words.length === 0 || words.some((word) => name.includes(word)),
  );
  if (chosen.length === 0) throw new ReadableError('no mutation has such a name');
  for (const { edits } of chosen) rmSync(copyTree(edits), { recursive: true, force: true });
  await requireHealthy(chosen);
  const rows: Row[] = [];
  for (const mutation of chosen) {
    const row = await tryOut(mutation);
    rows.push(row);
    process.stdout.write(`${show(row)}\n`);
  }
  process.stdout.write('\n| mutation | | by | sign | took |\n| --- | --- | --- | --- | --- |\n');
  process.stdout.write(`${rows.map(show).join('\n')}\n`);
  const missed = rows.filter(({ noticed }) => !noticed);
  process.stdout.write(`${rows.length - missed.length} of ${rows.length} noticed\n`);
  process.exitCode = missed.length === 0 ? 0 : 1;
});
