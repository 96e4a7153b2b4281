import type { Client } from 'pg';
import { pino, type Logger } from 'pino';
import { MigrateConfig } from './config.ts';
import { loadConfig } from './config/load.ts';
import { createClient } from './db/connection/client.ts';
import { updateCurrencies } from './db/migrate/currencies.ts';
import { readDefinitions, updateDefinitions } from './db/migrate/definitions.ts';
import { withMigrationLock } from './db/migrate/migration-lock.ts';
import { applyMigrations, missingMigrations } from './db/migrate/migrations.ts';
import { refuseNameConflicts } from './db/migrate/name-conflicts.ts';
import { checkServer } from './db/migrate/preflight.ts';
import { upgradeQueueSchema } from './db/migrate/queue-schema.ts';
import { updateQueues } from './db/migrate/queues.ts';
import { createRecordTables } from './db/migrate/records.ts';
import { prepareRoles } from './db/migrate/roles.ts';
import { OWN_SOURCES, readSql, type Sources } from './db/migrate/sources.ts';
import { givenPasswords, type RolePasswords } from './db/role-passwords.ts';
import { loggedError } from './logged-error.ts';
import { exitOnFailure } from './process.ts';

const KIND = {
  name: 'oms-migrate',
  direct: true,
  statementTimeoutMs: 0,
  idleInTransactionTimeoutMs: 0,
};

/** Options for tests: another folder of SQL, and a shorter wait for locks. */
export type MigrateOptions = { sources?: Sources; timeoutMs?: number };

/**
 * Brings a database to the state that this version needs, in one transaction: roles, the queue's schema and queues,
 * sql/migrations, functions, triggers and views, and the rights of each role. When a step fails, nothing changes. A
 * second run only sets the given passwords again. Several runs at once wait for each other. A role whose password is
 * given can log in with it.
 */
export async function migrate(
  config: MigrateConfig,
  log: Logger,
  passwords: RolePasswords = {},
  { sources = OWN_SOURCES, ...lockOptions }: MigrateOptions = {},
): Promise<void> {
  const databaseUrl = config.DATABASE_URL;
  const client = createClient(databaseUrl, KIND);
  client.on('error', (err) => log.error({ err }, 'database connection failed'));
  client.on('notice', ({ message }) => log.warn(message)); // only WARNINGs: the transaction hides NOTICEs
  await client.connect();
  try {
    await checkServer(client);
    await withMigrationLock(client, { databaseUrl, log, ...lockOptions }, async () => {
      await prepareRoles(client, passwords, sources); // the next steps run as oms_owner
      const definitions = await readDefinitions(sources);
      await refuseNameConflicts(client, definitions, sources);
      await createRecordTables(client);
      const missing = await missingMigrations(client, sources);
      await updateQueue(client, config); // as oms_queue
      await applyMigrations(client, missing, log);
      await updateCurrencies(client);
      await updateDefinitions(client, definitions);
      await client.query(await readSql(sources, 'grants.sql'));
      await client.query(await readSql(sources, 'apply_grants.sql'));
    });
  } finally {
    await client.end();
  }
}

async function updateQueue(client: Client, config: MigrateConfig): Promise<void> {
  await client.query('SET LOCAL ROLE oms_queue');
  await upgradeQueueSchema(client);
  await updateQueues(client, { heartbeatSeconds: config.HEARTBEAT_SECONDS });
  await client.query('SET LOCAL ROLE oms_owner');
}

/** Creates the log of migrate. Like the logs of the services, it has only the members of an error without secrets. */
export function migrateLog(level: string): Logger {
  return pino({ name: 'migrate', level, serializers: { err: (error) => loggedError(error) } });
}

if (import.meta.main) {
  await exitOnFailure(async () => {
    const config = loadConfig(MigrateConfig);
    const log = migrateLog(config.LOG_LEVEL);
    await migrate(config, log, givenPasswords(config));
    log.info('database is up to date');
  });
}
