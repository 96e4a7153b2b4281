import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ReadableError } from '../../src/process.ts';
import type { Edit } from './mutation.ts';

export const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** Copies the tracked files, and edits the copy. The edits must have been checked. */
export function copyTree(edits: Edit[]): string {
  const { stdout, status } = spawnSync('git', ['ls-files', '-z'], { cwd: ROOT, encoding: 'utf8' });
  if (status !== 0)
    throw new ReadableError(
      'The mutations copy the files that git tracks, so they need a git checkout',
    );
  const dir = mkdtempSync(join(tmpdir(), 'oms-mutation-'));
  for (const file of stdout.split('\0').filter(Boolean)) cpSync(join(ROOT, file), join(dir, file));
  symlinkSync(join(ROOT, 'node_modules'), join(dir, 'node_modules'));
  applyEdits(dir, edits);
  return dir;
}

/** Copies the folder sql/ alone, and edits the copy. */
export function copySql(edits: Edit[]): string {
  const dir = mkdtempSync(join(tmpdir(), 'oms-mutation-'));
  cpSync(join(ROOT, 'sql'), join(dir, 'sql'), { recursive: true });
  applyEdits(dir, edits);
  return dir;
}

function applyEdits(dir: string, edits: Edit[]): void {
  for (const { file, from, to } of edits) {
    const path = join(dir, file);
    const before = readFileSync(path, 'utf8');
    writeFileSync(
      path,
      before.replace(from, () => to),
    );
  }
}

/** Throws when the text that an edit replaces is not there exactly once. */
export function checkEdits(edits: Edit[]): void {
  for (const { file, from } of edits) {
    const found = readFileSync(join(ROOT, file), 'utf8').split(from).length - 1;
    if (found !== 1)
      throw new ReadableError(
        `${file} has this text ${found} times instead of once: ${from.trim()}`,
      );
  }
}
