import type { Client } from 'pg';
import { OWNER_ROLES } from './roles.ts';

/** A view or function: its name with its schema, and the version of its row in the catalog of Postgres. */
export type DatabaseObject = { kind: string; name: string; oid: number; version: string };

/**
 * A view or function of an owner role. One that is not recorded was made by the running migrate, or by a person who
 * used such a role (SET ROLE).
 */
export type OwnedObject = DatabaseObject & { recorded: boolean };

/** Selects the views and functions of the owner roles in the schemas of the service, without those of extensions. */
const OWNED = `
  SELECT id.type AS kind, id.identity AS name, o.oid, o.version, o.classid, made.name IS NOT NULL AS recorded
  FROM (
    SELECT 'pg_class'::regclass AS classid, c.oid, r.xmin::text AS version, c.relnamespace AS schema,
      c.relowner AS owner
    FROM pg_class AS c
    JOIN pg_rewrite AS r ON r.ev_class = c.oid AND r.rulename = '_RETURN'
    WHERE c.relkind = 'v'
    UNION ALL
    SELECT 'pg_proc'::regclass, oid, xmin::text, pronamespace, proowner FROM pg_proc
  ) AS o
  JOIN pg_namespace AS n ON n.oid = o.schema AND n.nspname IN ('public', 'ops', 'audit')
  CROSS JOIN LATERAL pg_identify_object(o.classid, o.oid, 0) AS id
  LEFT JOIN public.definitions AS made ON made.name = concat_ws(' ', id.type, id.identity)
  WHERE pg_get_userbyid(o.owner) = ANY('{${OWNER_ROLES.join()}}') AND NOT EXISTS (
    SELECT FROM pg_depend AS d WHERE d.classid = o.classid AND d.objid = o.oid AND d.deptype = 'e'
  )
`;
/** Selects the views and functions that migrate has made and recorded. migrate drops no others. */
export const RECORDED = `${OWNED} AND made.name IS NOT NULL`;

/** Lists the views and functions of the owner roles. */
export async function listOwned(client: Client): Promise<OwnedObject[]> {
  const { rows } = await client.query<OwnedObject>(`${OWNED} ORDER BY id.identity`);
  return rows;
}

/** Lists the views and functions that migrate has made. */
export async function listRecorded(client: Client): Promise<DatabaseObject[]> {
  return (await listOwned(client)).filter(({ recorded }) => recorded);
}

/** Lists the views and functions that migrate has made and that use tables, types or functions of the queue. */
export async function listReadersOfQueue(client: Client): Promise<DatabaseObject[]> {
  const { rows } = await client.query<DatabaseObject>(`
    ${RECORDED} AND EXISTS (
      SELECT FROM pg_depend AS d
      LEFT JOIN pg_rewrite AS r ON d.classid = 'pg_rewrite'::regclass AND r.oid = d.objid
      CROSS JOIN LATERAL pg_identify_object(d.refclassid, d.refobjid, 0) AS used
      WHERE coalesce(r.ev_class, d.objid) = o.oid AND used.schema = 'pgboss'
    )
    ORDER BY id.identity
  `);
  return rows;
}

/** Finds a view or function by its name in SQL: `ops.queues`, `ops.f(uuid)`. */
export async function findObject(
  client: Client,
  name: string,
): Promise<DatabaseObject | undefined> {
  const { rows } = await client.query<DatabaseObject>(
    `SELECT id.type AS kind, id.identity AS name, o.oid, '' AS version
     FROM (VALUES
       ('pg_class'::regclass, CASE WHEN $1 NOT LIKE '%(%' THEN to_regclass($1)::oid END),
       ('pg_proc'::regclass, CASE WHEN $1 LIKE '%(%' THEN to_regprocedure($1)::oid END)
     ) AS o (classid, oid)
     CROSS JOIN LATERAL pg_identify_object(o.classid, o.oid, 0) AS id
     WHERE o.oid IS NOT NULL`,
    [name],
  );
  return rows[0];
}
