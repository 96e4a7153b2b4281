import type { Client } from 'pg';
import { ReadableError } from '../../process.ts';

/** Every role of sql/roles.sql. migrate never drops rights of other roles on our views. */
export const OUR_ROLES = [
  'oms_owner',
  'oms_queue',
  'oms_placer',
  'oms_accounts',
  'oms_door',
  'oms_api',
  'oms_worker',
  'oms_dba_read',
  'oms_dba',
  'oms_auditor',
];
/** The roles of these that own views and functions. */
export const OWNERS = ['oms_owner', 'oms_placer', 'oms_accounts', 'oms_door', 'oms_queue'];

/** A view or function of ours: its readable name, and the version of its row in the catalogue. */
export type Ours = { kind: string; name: string; oid: number; version: string };

/** A view or function that a role of ours owns. A person who has taken on that role may have made it. */
export type Owned = Ours & { recorded: boolean };

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
  WHERE pg_get_userbyid(o.owner) = ANY('{${OWNERS.join()}}') AND NOT EXISTS (
    SELECT FROM pg_depend AS d WHERE d.classid = o.classid AND d.objid = o.oid AND d.deptype = 'e'
  )
`;
/** migrate drops no other objects than those that it has recorded. */
const OURS = `${OWNED} AND made.name IS NOT NULL`;

/** All views and functions that our roles own, in our schemas. */
export async function listOwned(client: Client): Promise<Owned[]> {
  const { rows } = await client.query<Owned>(`${OWNED} ORDER BY id.identity`);
  return rows;
}

/** All views and functions that migrate has made. */
export async function listOurs(client: Client): Promise<Ours[]> {
  return (await listOwned(client)).filter(({ recorded }) => recorded);
}

/** The views and functions of ours that use tables, types or functions of the queue. */
export async function readersOfQueue(client: Client): Promise<Ours[]> {
  const { rows } = await client.query<Ours>(`
    ${OURS} AND EXISTS (
      SELECT FROM pg_depend AS d
      LEFT JOIN pg_rewrite AS r ON d.classid = 'pg_rewrite'::regclass AND r.oid = d.objid
      CROSS JOIN LATERAL pg_identify_object(d.refclassid, d.refobjid, 0) AS used
      WHERE coalesce(r.ev_class, d.objid) = o.oid AND used.schema = 'pgboss'
    )
    ORDER BY id.identity
  `);
  return rows;
}

/** Finds a view or function by the name that a statement gives it: `ops.queues`, `ops.f(uuid)`. */
export async function findObject(client: Client, name: string): Promise<Ours | undefined> {
  const { rows } = await client.query<Ours>(
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

/**
 * Drops an object, and before it our dependent objects that `mayDrop` accepts. Never cascades: when another object
 * depends on it, throws a ReadableError that names that object.
 */
export async function dropObject(
  client: Client,
  object: Ours,
  because: string,
  mayDrop: (dependent: Ours) => boolean = () => true,
): Promise<void> {
  const dependents = await dependentsOf(client, object);
  const inTheWay = dependents.find((dependent) => !dependent.ours || !mayDrop(dependent));
  if (inTheWay) {
    throw new ReadableError(
      `${inTheWay.kind} ${inTheWay.name} depends on ${object.name}, ${because}: ` +
        'drop it first, and create it again after the migration.',
    );
  }
  for (const { kind, name } of [...dependents, object]) {
    await client.query(`DROP ${kind} ${name}`);
  }
}

/** Whether an object outside this list depends on one in it. */
export async function hasDependents(client: Client, objects: Ours[]): Promise<boolean> {
  for (const object of objects) {
    const dependents = await dependentsOf(client, object);
    if (dependents.some(({ oid }) => !objects.some((other) => other.oid === oid))) return true;
  }
  return false;
}

/**
 * Throws a ReadableError when a foreign role has rights on an object that is about to be dropped: this object, or one
 * of ours that depends on it. EXECUTE for PUBLIC, the default of functions, does not count.
 */
export async function refuseForeignRights(client: Client, object: Ours, because: string) {
  const all = [...(await dependentsOf(client, object)).filter(({ ours }) => ours), object];
  const { rows } = await client.query<{ name: string; role: string }>(
    `SELECT id.identity AS name,
       CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_get_userbyid(a.grantee)::text END AS role
     FROM (
       SELECT 'pg_class'::regclass AS classid, oid, relowner AS owner, relacl AS acl FROM pg_class
       UNION ALL
       SELECT 'pg_class'::regclass, c.oid, relowner, attacl
       FROM pg_class AS c JOIN pg_attribute ON attrelid = c.oid
       UNION ALL
       SELECT 'pg_proc'::regclass, oid, proowner, proacl FROM pg_proc
     ) AS o
     CROSS JOIN LATERAL pg_identify_object(o.classid, o.oid, 0) AS id
     CROSS JOIN LATERAL aclexplode(o.acl) AS a
     WHERE o.oid = ANY($1) AND id.identity = ANY($2) AND a.grantee <> o.owner
       AND NOT pg_get_userbyid(a.grantee) = ANY($3)
       AND NOT (a.grantee = 0 AND a.privilege_type = 'EXECUTE')
     LIMIT 1`,
    [all.map(({ oid }) => oid), all.map(({ name }) => name), OUR_ROLES],
  );
  const [found] = rows;
  if (!found) return;
  const via = found.name === object.name ? '' : `, which depends on ${object.name}`;
  throw new ReadableError(
    `role ${found.role} has rights on ${found.name}${via}, ${because}: ` +
      'revoke them first, and grant them again after the migration.',
  );
}

type Dependent = Ours & { ours: boolean };

/** The objects that depend on an object, directly or indirectly. The most distant ones come first. */
async function dependentsOf(client: Client, { oid, kind }: Ours): Promise<Dependent[]> {
  const { rows } = await client.query<Dependent>(
    `WITH RECURSIVE chain (classid, oid, depth) AS (
       SELECT $2::regclass::oid, $1::oid, 0
       UNION
       SELECT d.classid, d.oid, c.depth + 1
       FROM chain AS c
       CROSS JOIN LATERAL (
         -- A dependency of a rule counts for its view.
         SELECT CASE WHEN r.oid IS NULL THEN d.classid ELSE 'pg_class'::regclass END AS classid,
           coalesce(r.ev_class, d.objid) AS oid
         FROM pg_depend AS d
         LEFT JOIN pg_rewrite AS r ON d.classid = 'pg_rewrite'::regclass AND r.oid = d.objid
         WHERE d.refclassid = c.classid AND d.refobjid = c.oid
       ) AS d
       WHERE c.depth < 100 AND (d.classid, d.oid) <> (c.classid, c.oid)
     )
     SELECT id.type AS kind, id.identity AS name, d.oid, '' AS version, o.oid IS NOT NULL AS ours
     FROM (SELECT classid, oid, max(depth) AS depth FROM chain GROUP BY classid, oid) AS d
     CROSS JOIN LATERAL pg_identify_object(d.classid, d.oid, 0) AS id
     LEFT JOIN (${OURS}) AS o ON o.classid = d.classid AND o.oid = d.oid
     WHERE d.classid <> 'pg_type'::regclass AND d.depth > 0
     ORDER BY d.depth DESC`,
    [oid, kind === 'view' ? 'pg_class' : 'pg_proc'],
  );
  return rows.filter((row) => row.oid !== oid);
}
