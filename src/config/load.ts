/*
 * Reads the settings of a process. src/config.ts declares them.
 */
import { existsSync, readFileSync } from 'node:fs';
import type { z } from 'zod';
import { SETTINGS } from '../config.ts';
import { PG_VARIABLES } from '../db/connection/keywords.ts';
import { completeDatabaseUrls, pgVariables } from './database-url.ts';
import { readDotEnv } from './dot-env.ts';
import { nearMiss } from './near-miss.ts';

/** Settings that are missing or wrong. The message names each mistake on a line of its own. */
export class ConfigError extends Error {
  override name = 'ConfigError';
}

export type Environment = Record<string, string | undefined>;

/** A schema whose keys are names of settings. */
type Settings = z.ZodObject;

/** The settings of the external step. A misspelt one changes what happens to orders, so a warning is not enough. */
const EXTERNAL_STEP = /^FULFIL/i;
/** A variable with a shorter name than this is not checked: other programs may use such a name. */
const DISTINCTIVE = 8;

/**
 * Reads the settings of a schema from the environment, and those missing there from the file `.env` in the working
 * directory. Keeps nothing else of the file, because the rest may be secrets of other processes. Warns about names that
 * are no settings. Throws a ConfigError about a mistake in the file, or a misspelt name of the external step.
 */
export function readEnvironment(schema: Settings): Environment {
  const known = [...SETTINGS, ...Object.keys(PG_VARIABLES)];
  const file = existsSync('.env') ? readDotEnv(readFileSync('.env'), known) : undefined;
  const variables = oddVariables(process.env, known);
  const mistakes = [...(file?.mistakes ?? []), ...variables.mistakes];
  if (mistakes.length > 0) throw new ConfigError(mistakes.join('\n'));
  // Under npm start, the process that started this one has printed the warnings already.
  if (process.send === undefined) warn([...(file?.warnings ?? []), ...variables.warnings]);
  const names = [...Object.keys(schema.shape), ...pgVariables(Object.keys(schema.shape))];
  return pick(names, { ...file?.values, ...process.env });
}

/** Finds variables that are nearly named like settings. Most get only a warning: other programs have variables too. */
function oddVariables(env: Environment, known: readonly string[]) {
  const mistakes: string[] = [];
  const warnings: string[] = [];
  for (const name of Object.keys(env)) {
    if (known.includes(name) || name.length < DISTINCTIVE) continue;
    const meant = nearMiss(name, known);
    if (meant === undefined) continue;
    const text = `${name} in the environment is not a setting: write ${meant}`;
    if (EXTERNAL_STEP.test(meant) && env[meant] === undefined) mistakes.push(text);
    else warnings.push(text);
  }
  return { mistakes, warnings };
}

function warn(warnings: string[]): void {
  for (const warning of warnings) process.stderr.write(`Warning: ${warning}\n`);
}

/** Returns the part of an environment that a schema names. */
export function settingsOf(schema: Settings, env: Environment): Environment {
  return pick(Object.keys(schema.shape), env);
}

function pick(names: string[], env: Environment): Environment {
  const given = names.filter((name) => env[name] !== undefined);
  return Object.fromEntries(given.map((name) => [name, env[name]]));
}

/** Returns an environment without the variables of libpq. For a process that does not use the server that they name. */
export function withoutPgVariables(env: Environment): Environment {
  return Object.fromEntries(Object.entries(env).filter(([name]) => !(name in PG_VARIABLES)));
}

/** The variables that a child process inherits. It inherits no others, because they may be secrets. */
const INHERITED = [
  ['PATH', 'HOME', 'TMPDIR', 'TZ', 'LANG', 'LC_ALL', 'LD_LIBRARY_PATH'],
  ['SSL_CERT_FILE', 'SSL_CERT_DIR', 'NODE_EXTRA_CA_CERTS'],
  ['NODE_OPTIONS', 'NODE_COMPILE_CACHE', 'NODE_V8_COVERAGE'],
].flat();

/** Returns the environment of a child process, without its settings. */
export function inheritedEnvironment(): Environment {
  return pick(INHERITED, process.env);
}

/** Parses the settings in an environment. An empty variable counts as not set. Throws ConfigError. */
export function loadConfig<S extends Settings>(
  schema: S,
  env: Environment = readEnvironment(schema),
): z.output<S> {
  const { completed: given, mistakes } = completeDatabaseUrls(withoutEmpty(env));
  const result = schema.safeParse(given);
  if (result.success && mistakes.length === 0) return result.data;
  for (const { path, message, ...issue } of result.error?.issues ?? []) {
    const name = String(path[0] ?? 'environment');
    const missing = issue.code === 'invalid_type' && given[name] === undefined;
    mistakes.push(`${name} ${missing ? 'is required' : message}`);
  }
  throw new ConfigError([...new Set(mistakes)].join('\n'));
}

/** Removes empty variables. */
export function withoutEmpty(env: Environment): Environment {
  return Object.fromEntries(Object.entries(env).filter(([, value]) => value !== ''));
}
