/*
 * The evidence file: the result of an audit, in sections. The signature is over `signed`, which has the digest of each
 * section, so that a check of the file names the section that was altered.
 */
import { rename, writeFile } from 'node:fs/promises';
import { sql } from 'slonik';
import { z } from 'zod';
import tool from '../../package.json' with { type: 'json' };
import { canonicalJson, sha256 } from '../canonical.ts';
import { newestMigration } from '../db/migrate/migrations.ts';
import type { Findings } from './check.ts';
import type { Tally } from './facts.ts';
import { readHeads } from './heads.ts';
import type { Signer } from './keys.ts';
import type { AuditSession } from './session.ts';

export const FORMAT = 'order-audit-evidence/1';

type Sections = Record<string, unknown>;

/** The file. The content is in `sections`; `signed` has the digest of each of them. */
export type Evidence = {
  sections: Sections;
  signed: { format: string; key_id: string; section_sha256: Record<string, string> };
  public_key: string;
  signature: string;
};

/** The position of the database at one moment. */
const Position = z.object({ at: z.string(), lsn: z.string(), snapshot: z.string() });
type Position = z.infer<typeof Position>;

/** Reads the present position of the database. Each window has a snapshot of its own, between two positions. */
export function positionOf(session: AuditSession): Promise<Position> {
  return session.one(sql.type(Position)`
    SELECT to_char(clock_timestamp(), 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS at,
      pg_current_wal_lsn()::text AS lsn, pg_current_snapshot()::text AS snapshot
  `);
}

const Database = z.object({
  name: z.string(),
  system_identifier: z.string(),
  oid: z.string(),
  server_version: z.string(),
});

const Migration = z.object({ name: z.string(), sha256: z.string() });

/** Collects the sections of the file. */
export async function toSections(
  session: AuditSession,
  { started, tally, findings }: { started: Position; tally: Tally; findings: Findings },
): Promise<Sections> {
  const database = await session.one(sql.type(Database)`
    SELECT current_database() AS name, c.system_identifier::text AS system_identifier,
      d.oid::text AS oid, current_setting('server_version') AS server_version
    FROM pg_control_system() AS c, pg_database AS d
    WHERE d.datname = current_database()
  `);
  const migrations = await session.any(sql.type(Migration)`
    SELECT name, sha256 FROM migrations ORDER BY name LIMIT 1000
  `);
  const { statuses, jobs, events } = tally;
  return {
    run: {
      tool: { name: tool.name, version: tool.version, newest_migration: await newestMigration() },
      started,
      finished: await positionOf(session),
    },
    database,
    schema: { newest: migrations.at(-1)?.name, migrations },
    counts: { orders: findings.orders, statuses, events, jobs },
    chains: { sha256: tally.chainDigest() },
    heads: await readHeads(session),
    violations: { counts: findings.counts, listed: findings.listed },
  };
}

/** Signs the sections. */
export function signEvidence(sections: Sections, signer: Signer): Evidence {
  const signed = {
    format: FORMAT,
    key_id: signer.id,
    section_sha256: digestSections(sections),
  };
  return {
    sections,
    signed,
    public_key: signer.publicKey.export({ type: 'spki', format: 'pem' }),
    signature: signer.sign(Buffer.from(canonicalJson(signed))).toString('base64'),
  };
}

/** The sha256 of each section in canonical form. */
export function digestSections(sections: Sections): Record<string, string> {
  return Object.fromEntries(
    Object.entries(sections).map(([name, section]) => [name, sha256(canonicalJson(section))]),
  );
}

/** The text of the file. There is one way to write it, so any other byte is an alteration. */
export function evidenceText(evidence: Evidence): string {
  return `${JSON.stringify(evidence, null, 1)}\n`;
}

/** Writes the whole file, or none of it. */
export async function writeEvidence(file: string, evidence: Evidence): Promise<void> {
  await writeFile(`${file}.new`, evidenceText(evidence));
  await rename(`${file}.new`, file);
}
