import { getConstructionPlans, getMigrationPlans } from 'pg-boss';
import type { Client } from 'pg';
import { ReadableError } from '../../process.ts';
import { sqlStateOf } from '../errors.ts';
import { dropObject, refuseForeignRights } from './drop-object.ts';
import { listReadersOfQueue } from './objects.ts';

const SCHEMA = 'pgboss';
const PARTITION = /^(job_common|j[0-9a-f]{56})$/;

// The text that pg-boss puts around its SQL: plans.transaction(), with the lock of plans.locked().
const ENVELOPE = new RegExp(
  [
    String.raw`^\s*BEGIN;`,
    String.raw`SET LOCAL lock_timeout = \d+;`,
    String.raw`SET LOCAL idle_in_transaction_session_timeout = \d+;`,
    String.raw`(?:SELECT pg_advisory_xact_lock\([^;]*\);)?(?<body>[\s\S]*?);`,
    String.raw`COMMIT;(?<after>[\s\S]*)$`,
  ].join(String.raw`\s*`),
);
/** SQLSTATEs of a DROP or ALTER that fails because another object depends on the target. */
const USED = new Set(['2BP01', '0A000']);
const TRANSACTION_CONTROL =
  /\b(BEGIN|COMMIT|ROLLBACK|ABORT)\s*;|\bSTART\s+TRANSACTION\b|\bpg_advisory|\bSET\s+(LOCAL\s+)?ROLE\b/i;

/**
 * Rewrites SQL of pg-boss so that it runs inside the transaction of migrate: removes its BEGIN, time limits, advisory
 * lock and COMMIT. Keeps index builds that follow the COMMIT, without CONCURRENTLY. Throws when the rest still contains
 * transaction control, so that an upgrade of pg-boss with other SQL is noticed.
 */
export function withoutTransaction(text: string): string {
  const { body, after = '' } = ENVELOPE.exec(text)?.groups ?? {};
  const inner = body === undefined ? text : `${body};${after.replace(/\bCONCURRENTLY\b/g, '')}`;
  if (TRANSACTION_CONTROL.test(inner)) {
    throw new Error(`pg-boss has SQL with its own transaction: ${inner.trim().slice(0, 200)}`);
  }
  return inner;
}

/**
 * Creates or upgrades pg-boss's schema, inside the caller's transaction and as the current role. Does not execute the
 * statements in table pgboss.bam: builds of indexes come from pg-boss's own SQL.
 */
export async function upgradeQueueSchema(client: Client): Promise<void> {
  const construction = getConstructionPlans(SCHEMA);
  const needed = Number(/pgboss\.version\(version\) VALUES \('(\d+)'\)/.exec(construction)?.[1]);
  const installed = await installedVersion(client);
  if (installed === needed) return;
  if (installed === undefined) {
    await client.query(withoutTransaction(construction));
    return;
  }
  if (installed > needed) {
    throw new ReadableError(
      `The queue's schema has version ${installed}, and this version of the service needs ${needed}: ` +
        'a newer version has migrated this database.',
    );
  }
  const partitionTables = await partitionsOf(client);
  const plans = getMigrationPlans(SCHEMA, installed, { partitionTables });
  await alterQueue(client, withoutTransaction(plans));
}

/**
 * Runs a change of the queue's tables. When views and functions that migrate has made prevent it, drops them first: the
 * definitions make them again. Throws a ReadableError when another object depends on one of them, or when another role
 * has rights on one of them.
 */
export async function alterQueue(client: Client, text: string): Promise<void> {
  await client.query('SAVEPOINT queue');
  try {
    await client.query(text);
  } catch (error) {
    if (!USED.has(sqlStateOf(error) ?? '')) throw error;
    await client.query('ROLLBACK TO SAVEPOINT queue');
    await dropReaders(client);
    await client.query(text);
  }
  await client.query('RELEASE SAVEPOINT queue');
}

async function dropReaders(client: Client): Promise<void> {
  const because = 'which reads tables that pg-boss changes';
  await client.query('SET LOCAL ROLE oms_owner');
  for (;;) {
    const [reader] = await listReadersOfQueue(client);
    if (!reader) break;
    await refuseForeignRights(client, reader, because);
    await dropObject(client, reader, because);
  }
  await client.query('SET LOCAL ROLE oms_queue');
}

async function installedVersion(client: Client): Promise<number | undefined> {
  const { rows } = await client.query<{ exists: boolean }>(
    `SELECT to_regclass('pgboss.version') IS NOT NULL AS exists`,
  );
  if (!rows[0]?.exists) return undefined;
  const version = await client.query<{ version: number }>('SELECT version FROM pgboss.version');
  return Number(version.rows[0]?.version);
}

/** The queues with their own tables. The names of the tables become part of statements, so their format is checked. */
async function partitionsOf(client: Client) {
  const { rows } = await client.query<{ tableName: string; policy: string }>(
    'SELECT table_name AS "tableName", policy FROM pgboss.queue WHERE partition ORDER BY name',
  );
  const odd = rows.find(({ tableName }) => !PARTITION.test(tableName));
  if (odd) {
    throw new ReadableError(`pgboss.queue names a table that is not a queue's: ${odd.tableName}`);
  }
  return rows;
}
