/*
 * Reads the file `.env`, and reports each line that may not mean what its author wanted. With a misspelt
 * FULFILMENT_URL, for example, orders would be completed without the external step.
 */
import { parseEnv } from 'node:util';
import { nearMiss } from './near-miss.ts';

type DotEnv = {
  values: Record<string, string>;
  /** Sentences that repeat no value, because it may be a secret. */
  mistakes: string[];
  warnings: string[];
};

/** Beginnings of names that other programs (Compose, Postgres, npm, Node) or tests read from the same file. */
const OF_OTHERS = /^(COMPOSE|DOCKER|BUILDKIT|POSTGRES|NODE|NPM|TEST|PG)_?/i;

/** Line ends of old Macs, of mainframes and of Unicode: the lines after a comment would be a part of the comment. */
const OTHER_LINE_END = /\r(?![\r\n])|[\v\f\u0085\u2028\u2029]/;

/** Reads the content of a file `.env`. `known` are the names of all settings. */
export function readDotEnv(bytes: Uint8Array, known: readonly string[]): DotEnv {
  const text = decodeUtf8(bytes);
  if (text === undefined) {
    const mistakes = ['.env is not UTF-8 text: save it as UTF-8'];
    return { values: {}, mistakes, warnings: [] };
  }
  if (OTHER_LINE_END.test(text)) {
    const mistakes = ['.env has line ends other than LF and CRLF: save it with one of these'];
    return { values: {}, mistakes, warnings: [] };
  }
  const values = parseEnv(text) as Record<string, string>;
  const lines = splitLines(text);
  const mistakes = lines.flatMap((line) => mistakeInLine(line, known) ?? []);
  const warnings: string[] = [];
  for (const name of Object.keys(values)) {
    if (known.includes(name)) continue;
    const meant = nearMiss(name, known);
    if (meant !== undefined) mistakes.push(`${name} in .env is not a setting: write ${meant}`);
    else if (!OF_OTHERS.test(name))
      warnings.push(`${name} in .env is not a setting of the service`);
  }
  const names = lines.flatMap(({ name }) => name ?? []);
  const repeated = names.filter((name, at) => names.indexOf(name) !== at);
  for (const name of new Set(repeated)) {
    warnings.push(`${name} is set twice in .env: the last one counts`);
  }
  return { values, mistakes, warnings };
}

/** Returns the text without the byte order mark that Windows writes, or undefined for another encoding than UTF-8. */
function decodeUtf8(bytes: Uint8Array): string | undefined {
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
    return text.includes('\0') ? undefined : text;
  } catch {
    return undefined;
  }
}

/** `inner` are the names that later lines of a quoted value seem to set. */
type Line = { number: number; text: string; name?: string; value?: string; inner?: string[] };

const ASSIGNMENT = /^(?:export\s+)?([^\s=]+)\s*=\s*(.*)$/;

/** Returns the lines, each with the name and the value that it sets. The lines of a quoted value count as one line. */
function splitLines(text: string): Line[] {
  const found: Line[] = [];
  const lines = text.split(/\r?\n/);
  for (let at = 0; at < lines.length; at += 1) {
    const number = at + 1;
    const line = (lines[at] ?? '').trim();
    if (line === '' || line.startsWith('#')) continue;
    const [, name, value = ''] = ASSIGNMENT.exec(line) ?? [];
    if (name === undefined) {
      found.push({ number, text: line });
      continue;
    }
    const quote = /^["'`]/.exec(value)?.[0];
    const isOpen = quote !== undefined && !value.slice(1).includes(quote);
    const end = isOpen ? lines.findIndex((other, i) => i > at && other.includes(quote)) : at;
    const inner = lines
      .slice(at + 1, end + 1)
      .flatMap((other) => ASSIGNMENT.exec(other.trim())?.[1] ?? []);
    found.push({ number, text: line, name, value: end < 0 ? `${value} (open)` : value, inner });
    if (end > at) at = end;
  }
  return found;
}

function mistakeInLine(
  { number, name, value = '', inner = [] }: Line,
  known: readonly string[],
): string | undefined {
  if (name === undefined) return `line ${number} of .env is not of the form NAME=value`;
  if (/^["'`].* \(open\)$/s.test(value)) {
    return `${name} in line ${number} of .env begins with a quote that is not closed`;
  }
  const swallowed = inner.find((other) => nearMiss(other, known) !== undefined);
  if (swallowed !== undefined) {
    return `${name} in line ${number} of .env begins with a quote that is closed only after ${swallowed}`;
  }
  if (/^[“”‘’„«]/.test(value)) {
    return `${name} in line ${number} of .env begins with a typographic quote: write " or '`;
  }
  // Compose reads such a # as a part of the value, and Node as the beginning of a comment.
  if (!/^["'`]/.test(value) && /^[^\s#]+#/.test(value)) {
    return `${name} in line ${number} of .env contains a #: put the value in quotes`;
  }
  return undefined;
}
