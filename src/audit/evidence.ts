/*
 * The evidence file: what an audit found, in sections. The signature is over `signed`, which names the
 * digest of each section, so that a check of the file shows which section was altered.
 */
import { createHash, type Hash } from 'node:crypto';
import { rename, writeFile } from 'node:fs/promises';
import tool from '../../package.json' with { type: 'json' };
import { newestMigration } from '../db/migrate/migrations.ts';
import { canonicalJson, sha256 } from '../canonical.ts';
import type { Findings } from './check.ts';
import { readHeads } from './heads.ts';
import type { Signer } from './keys.ts';
import type { Session } from './session.ts';
import { conditionOf, type Window } from './windows.ts';

export const FORMAT = 'order-audit-evidence/1';

export type Sections = Record<string, unknown>;

/** The file. Everything that counts is under `sections`; `signed` vouches for each of them. */
export type Evidence = {
  sections: Sections;
  signed: { format: string; key_id: string; section_sha256: Record<string, string> };
  public_key: string;
  signature: string;
};

/** What one window adds to the evidence. */
export type WindowFacts = {
  statuses: Record<string, number>;
  jobs: Record<string, number>;
  events: number;
  chain: Buffer;
};

/** Where the database stood at one moment. */
type Position = { at: string; lsn: string; snapshot: string };

/** Adds up what the windows hold. Memory does not grow with the orders: the chains go into one hash. */
export class Tally {
  readonly statuses: Record<string, number> = {};
  readonly jobs: Record<string, number> = {};
  events = 0;
  readonly #chains: Hash = createHash('sha256');

  add({ statuses, jobs, events, chain }: WindowFacts): void {
    addCounts(this.statuses, statuses);
    addCounts(this.jobs, jobs);
    this.events += events;
    this.#chains.update(chain);
  }

  /** sha256 over id (16 bytes), version (4) and hash (32) of each order's last event, in id order. */
  chainDigest(): string {
    return this.#chains.copy().digest('hex');
  }
}

function addCounts(whole: Record<string, number>, part: Record<string, number>): void {
  for (const [name, count] of Object.entries(part)) whole[name] = (whole[name] ?? 0) + count;
}

/** Reads what a window adds. In the snapshot in which its invariants are checked. */
export async function factsOf(session: Session, window: Window): Promise<WindowFacts> {
  const orders = conditionOf(window, 'o.id');
  const jobs = conditionOf(window, 'j.id');
  const events = conditionOf(window, 'e.order_id');
  const [row] = await session.rows<WindowFacts>(
    `SELECT
       (SELECT coalesce(jsonb_object_agg(status, orders), '{}') FROM (
          SELECT o.status, count(*) AS orders FROM orders AS o WHERE ${orders.text} GROUP BY o.status
        ) AS o) AS statuses,
       (SELECT coalesce(jsonb_object_agg(name || ' ' || state, jobs), '{}') FROM (
          SELECT j.name, j.state, count(*) AS jobs FROM pgboss.job AS j
          WHERE j.name IN ('process-order', 'fail-order') AND ${jobs.text} GROUP BY j.name, j.state
        ) AS j) AS jobs,
       e.events, e.chain
     FROM (
       SELECT count(*)::float8 AS events, coalesce(string_agg(
         uuid_send(e.order_id) || int4send(e.version) || e.hash, '' ORDER BY e.order_id
       ) FILTER (WHERE e.is_last), '') AS chain
       FROM (
         SELECT e.order_id, e.version, e.hash,
           lead(true) OVER (PARTITION BY e.order_id ORDER BY e.version) IS NULL AS is_last
         FROM order_events AS e
         WHERE ${events.text}
       ) AS e
     ) AS e`,
    orders.values,
  );
  if (!row) throw new Error('SELECT of counts gave no row');
  return row;
}

/** Where the database stands now. Windows are snapshots of their own, between two of these. */
export async function positionOf({ rows }: Session): Promise<Position> {
  const [position] = await rows<Position>(`
    SELECT to_char(clock_timestamp(), 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS at,
      pg_current_wal_lsn()::text AS lsn, pg_current_snapshot()::text AS snapshot
  `);
  if (!position) throw new Error('SELECT without FROM gave no row');
  return position;
}

/** Puts together what is to be signed. */
export async function toSections(
  session: Session,
  { started, tally, findings }: { started: Position; tally: Tally; findings: Findings },
): Promise<Sections> {
  const [database] = await session.rows(`
    SELECT current_database() AS name, c.system_identifier::text AS system_identifier,
      d.oid::text AS oid, current_setting('server_version') AS server_version
    FROM pg_control_system() AS c, pg_database AS d
    WHERE d.datname = current_database()
  `);
  const migrations = await session.rows<{ name: string; sha256: string }>(
    'SELECT name, sha256 FROM migrations ORDER BY name',
  );
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

/** The file as it is written: one canonical form, so that any other byte is an alteration. */
export function evidenceText(evidence: Evidence): string {
  return `${JSON.stringify(evidence, null, 1)}\n`;
}

/** Writes the file whole or not at all. */
export async function writeEvidence(file: string, evidence: Evidence): Promise<void> {
  await writeFile(`${file}.new`, evidenceText(evidence));
  await rename(`${file}.new`, file);
}
