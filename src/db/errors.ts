import { SchemaValidationError } from 'slonik';

/** The SQLSTATE of a database error, however deep the libraries have wrapped it. */
export function sqlStateOf(error: unknown): string | undefined {
  for (let e = error; e instanceof Error; e = e.cause) {
    const { code } = e as { code?: unknown };
    if (typeof code === 'string' && /^[0-9A-Z]{5}$/.test(code)) return code;
  }
  return undefined;
}

/** Whether the rows are to blame: bad or unreadable data, a broken constraint, a refusing trigger. */
export function isDataError(error: unknown): boolean {
  if (error instanceof SchemaValidationError) return true;
  return /^(22|23|OM|P0)/.test(sqlStateOf(error) ?? '');
}
