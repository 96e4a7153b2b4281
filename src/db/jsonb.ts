import { sql, type FragmentSqlToken } from 'slonik';

/**
 * Rows as one jsonb parameter, for `jsonb_to_recordset`. Unlike slonik's `sql.jsonb` it does not search each string for
 * characters that Postgres cannot store: the schemas that parse client input refuse them.
 */
export function jsonbRows(rows: object[]): FragmentSqlToken {
  return sql.fragment`${JSON.stringify(rows)}::jsonb`;
}
