import { readFileSync, statSync } from 'node:fs';
import { ReadableError } from '../../process.ts';
import type { Host, Target } from './target.ts';

/** Returns the password for a host, from the URL or from libpq's password file. Throws a ReadableError without one. */
export function passwordFor(target: Target, { host, port }: Host): string {
  if (target.password !== undefined) return target.password;
  const names = [host.startsWith('/') ? 'localhost' : host, String(port)];
  const wanted = [...names, target.database, target.user];
  for (const line of readLines(target.passfile)) {
    const [password, ...fields] = splitFields(line).toReversed();
    const isMatch = fields.toReversed().every((field, i) => field === '*' || field === wanted[i]);
    if (isMatch && fields.length === wanted.length && password !== undefined) return password;
  }
  throw new ReadableError(
    'The server asks for a password, and DATABASE_URL and the password file have none',
  );
}

/** The lines of the file. None when other users have any right on the file: libpq does not use such a file, either. */
function readLines(path: string): string[] {
  try {
    const { mode } = statSync(path);
    if ((mode & 0o077) !== 0) return [];
    return readFileSync(path, 'utf8').split(/\r?\n/);
  } catch {
    return [];
  }
}

/** Splits a line at its colons. The character after a backslash has no special meaning. */
function splitFields(line: string): string[] {
  if (line.startsWith('#')) return [];
  const fields = [''];
  for (let at = 0; at < line.length; at += 1) {
    if (line[at] === ':' && fields.length < 5) fields.push('');
    else {
      if (line[at] === '\\') at += 1;
      fields.push(`${fields.pop() ?? ''}${line[at] ?? ''}`);
    }
  }
  return fields;
}
