import { z } from 'zod';
import { PG_VARIABLES } from '../db/connection/keywords.ts';
import { completeUrl, readTarget } from '../db/connection/target.ts';
import { DatabaseUrlError } from '../db/connection/url.ts';

/** A URL of Postgres, by the rules of libpq. */
export const databaseUrl = z.string().superRefine((url, ctx) => {
  const mistake = mistakeOf(() => readTarget(url));
  if (mistake !== undefined) ctx.addIssue({ code: 'custom', message: mistake });
});

type Environment = Record<string, string | undefined>;

const URL_SETTINGS = ['DATABASE_URL', 'AUDIT_DATABASE_URL'];

/** The names of libpq's variables, for a process that reads DATABASE_URL: it reads these variables like settings. */
export function pgVariables(settings: string[]): string[] {
  return settings.includes('DATABASE_URL') ? Object.keys(PG_VARIABLES) : [];
}

/**
 * Completes the URLs of Postgres with the variables of libpq, such as PGSSLROOTCERT, so no other code has to read these
 * variables. Also returns their mistakes. Mistakes in the URLs themselves are left to `databaseUrl`.
 */
export function completeDatabaseUrls(given: Environment): {
  completed: Environment;
  mistakes: string[];
} {
  const completed = { ...given };
  const mistakes: string[] = [];
  for (const name of URL_SETTINGS) {
    const url = given[name];
    if (url === undefined || mistakeOf(() => readTarget(url)) !== undefined) continue;
    const mistake = mistakeOf(() => {
      completed[name] = completeUrl(url, given);
    });
    if (mistake !== undefined)
      mistakes.push(`${name}, with the variables PG… of libpq, ${mistake}`);
  }
  return { completed, mistakes };
}

function mistakeOf(read: () => unknown): string | undefined {
  try {
    read();
    return undefined;
  } catch (error) {
    if (error instanceof DatabaseUrlError) return error.message;
    throw error;
  }
}
