/*
 * Changes that only a superuser can make, and the violations that the audit finds afterwards.
 */
import { generateKeyPairSync } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Client } from 'pg';
import { createClient } from '../../src/db/connection/client.ts';
import type { Context } from './context.ts';
import { databaseUrl } from './template.ts';
import { until } from './until.ts';

type Found = {
  invariant: string;
  severity: string;
  order_id: string;
  evidence: Record<string, unknown>;
};

type Rows = Record<string, unknown>[];

/** Runs one statement as the superuser. Returns its rows. */
export async function asSuperuser(
  { database }: Pick<Context, 'database'>,
  statement: string,
  values: unknown[] = [],
): Promise<Rows> {
  return withSuperuser(database, async (client) => (await client.query(statement, values)).rows);
}

/** Makes forbidden changes, with every trigger and foreign key switched off. */
export async function tamper(
  { database }: Pick<Context, 'database'>,
  ...statements: [text: string, values?: unknown[]][]
): Promise<void> {
  await withSuperuser(database, async (client) => {
    await client.query('BEGIN');
    await client.query('SET LOCAL session_replication_role = replica');
    for (const [text, values] of statements) await client.query(text, values);
    await client.query('COMMIT');
  });
}

/** The violations that the audit finds, of one order or of all. */
export async function violations(
  service: Pick<Context, 'database'>,
  orderId?: string,
): Promise<Found[]> {
  const rows = await asSuperuser(
    service,
    `SELECT invariant, severity, order_id, evidence FROM audit.violations
     WHERE $1::uuid IS NULL OR order_id = $1
     ORDER BY order_id, invariant, evidence ->> 'version'`,
    [orderId ?? null],
  );
  return rows as Found[];
}

async function withSuperuser<T>(database: string, work: (client: Client) => Promise<T>) {
  const kind = { name: 'test', statementTimeoutMs: 0, idleInTransactionTimeoutMs: 0 };
  const client = createClient(databaseUrl(database), kind);
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}

/**
 * Waits until every transaction that is open now on the server has ended, also those of other tests. The audit
 * postpones rows that an open transaction could still change.
 */
export async function untilTransactionsEnd(service: Pick<Context, 'database'>): Promise<void> {
  const [now] = await asSuperuser(service, 'SELECT pg_current_xact_id()::text AS xid');
  const hasEnded = `SELECT FROM pg_current_snapshot() AS s WHERE pg_snapshot_xmin(s) > $1::xid8`;
  const ended = async () => (await asSuperuser(service, hasEnded, [now?.xid])).length > 0;
  await until('the end of all open transactions', ended, 60_000);
}

/** Writes a new Ed25519 key into a folder, in the format of openssl. */
export function makeKey(folder: string, name = 'audit-key.pem') {
  const { privateKey } = generateKeyPairSync('ed25519');
  const keyFile = join(folder, name);
  writeFileSync(keyFile, privateKey.export({ type: 'pkcs8', format: 'pem' }));
  return { keyFile, privateKey };
}
