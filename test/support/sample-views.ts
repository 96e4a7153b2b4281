import { randomBytes } from 'node:crypto';
import type { ExecutionContext } from 'ava';
import type { Client } from 'pg';
import type { Context } from './context.ts';
import { column, editableSources, migratedDatabase } from './migrating.ts';
import { onServer } from './template.ts';

/** The view ops.sample, on which the view ops.on_top depends. */
export const SAMPLE_VIEW = 'CREATE OR REPLACE VIEW ops.sample AS SELECT 1 AS one, 2 AS two;';
/** The same view with other columns. Postgres cannot replace the first by it. */
export const CHANGED_VIEW = 'CREATE OR REPLACE VIEW ops.sample AS SELECT 1 AS one;';
const ON_TOP = 'CREATE OR REPLACE VIEW ops.on_top AS SELECT one FROM ops.sample;';

/** A migrated database with two more views, and a copy of sql/ that contains them. */
export async function withSampleViews(t: ExecutionContext<Context>) {
  const migrating = await migratedDatabase(t);
  const sources = await editableSources(t);
  await sources.define('ops/sample.sql', SAMPLE_VIEW);
  await sources.define('ops/on_top.sql', ON_TOP);
  await migrating.migrate({ sources });
  return { ...migrating, sources };
}

/** Creates a role that is not in sql/roles.sql, and drops it after the test. */
export async function foreignRole(t: ExecutionContext<Context>): Promise<string> {
  const role = `bi_${randomBytes(4).toString('hex')}`;
  await onServer(`CREATE ROLE ${role}`);
  t.teardown(() => onServer(`DROP ROLE ${role}`).catch(() => undefined));
  return role;
}

/** The names of the columns of a view. */
export function columnsOf(client: Client, view: string): Promise<string[]> {
  return column(
    client,
    `SELECT attname::text FROM pg_attribute WHERE attrelid = '${view}'::regclass AND attnum > 0`,
  );
}
