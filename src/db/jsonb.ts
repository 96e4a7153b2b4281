import { sql, type FragmentSqlToken } from 'slonik';

/**
 * Rows as one jsonb parameter, for `jsonb_to_recordset`. Unlike slonik's `sql.jsonb` it does not look through each
 * string for what Postgres cannot store: whatever a client sends was parsed by a schema that refuses that.
 */
export function jsonbRows(rows: object[]): FragmentSqlToken {
  return sql.fragment`${JSON.stringify(rows)}::jsonb`;
}
