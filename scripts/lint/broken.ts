import { lint } from './lint.ts';
import { readSource } from './source.ts';

/** For tests: the rules that a sample breaks, each with its line, such as `unfinished:3`. */
export function broken(path: string, text: string): string[] {
  return lint([readSource(path, text)], []).map(({ rule, line }) => `${rule}:${line}`);
}
