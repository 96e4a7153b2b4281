import type { Client } from 'pg';
import { ReadableError } from '../../process.ts';
import { RECORDED, type DatabaseObject } from './objects.ts';
import { ROLES } from './roles.ts';

/**
 * Drops an object. First drops the objects that depend on it, if migrate made them and `mayDrop` accepts them. Throws a
 * ReadableError when any other object depends on it. `because` says why the object is dropped, for the message.
 */
export async function dropObject(
  client: Client,
  object: DatabaseObject,
  because: string,
  mayDrop: (dependent: DatabaseObject) => boolean = () => true,
): Promise<void> {
  const dependents = await dependentsOf(client, object);
  const kept = dependents.find((dependent) => !dependent.recorded || !mayDrop(dependent));
  if (kept) {
    throw new ReadableError(
      `${kept.kind} ${kept.name} depends on ${object.name}, ${because}: ` +
        'drop it first, and create it again after the migration.',
    );
  }
  for (const { kind, name } of [...dependents, object]) {
    await client.query(`DROP ${kind} ${name}`);
  }
}

/** Whether an object outside the list depends on an object in the list. */
export async function hasDependents(client: Client, objects: DatabaseObject[]): Promise<boolean> {
  for (const object of objects) {
    const dependents = await dependentsOf(client, object);
    if (dependents.some(({ oid }) => !objects.some((other) => other.oid === oid))) return true;
  }
  return false;
}

/**
 * Throws a ReadableError when a role that is not in sql/roles.sql has rights on an object that will be dropped: on this
 * object, or on one that migrate has made and that depends on it. EXECUTE for PUBLIC does not count: it is the default
 * of functions. `because` says why the object is dropped, for the message.
 */
export async function refuseForeignRights(
  client: Client,
  object: DatabaseObject,
  because: string,
): Promise<void> {
  const dependents = await dependentsOf(client, object);
  const all = [...dependents.filter(({ recorded }) => recorded), object];
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
    [all.map(({ oid }) => oid), all.map(({ name }) => name), ROLES],
  );
  const [found] = rows;
  if (!found) return;
  const via = found.name === object.name ? '' : `, which depends on ${object.name}`;
  throw new ReadableError(
    `role ${found.role} has rights on ${found.name}${via}, ${because}: ` +
      'revoke them first, and grant them again after the migration.',
  );
}

type Dependent = DatabaseObject & { recorded: boolean };

/** The objects that depend on an object, directly or indirectly. The most distant ones come first. */
async function dependentsOf(client: Client, { oid, kind }: DatabaseObject): Promise<Dependent[]> {
  const { rows } = await client.query<Dependent>(
    `WITH RECURSIVE chain (classid, oid, depth) AS (
       SELECT $2::regclass::oid, $1::oid, 0
       UNION
       SELECT d.classid, d.oid, c.depth + 1
       FROM chain AS c
       CROSS JOIN LATERAL (
         -- A view depends on what its rule depends on.
         SELECT CASE WHEN r.oid IS NULL THEN d.classid ELSE 'pg_class'::regclass END AS classid,
           coalesce(r.ev_class, d.objid) AS oid
         FROM pg_depend AS d
         LEFT JOIN pg_rewrite AS r ON d.classid = 'pg_rewrite'::regclass AND r.oid = d.objid
         WHERE d.refclassid = c.classid AND d.refobjid = c.oid
       ) AS d
       WHERE c.depth < 100 AND (d.classid, d.oid) <> (c.classid, c.oid)
     )
     SELECT id.type AS kind, id.identity AS name, d.oid, '' AS version, o.oid IS NOT NULL AS recorded
     FROM (SELECT classid, oid, max(depth) AS depth FROM chain GROUP BY classid, oid) AS d
     CROSS JOIN LATERAL pg_identify_object(d.classid, d.oid, 0) AS id
     LEFT JOIN (${RECORDED}) AS o ON o.classid = d.classid AND o.oid = d.oid
     WHERE d.classid <> 'pg_type'::regclass AND d.depth > 0
     ORDER BY d.depth DESC`,
    [oid, kind === 'view' ? 'pg_class' : 'pg_proc'],
  );
  return rows.filter((row) => row.oid !== oid);
}
