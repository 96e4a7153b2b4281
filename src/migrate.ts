import { Client } from 'pg';
import { pino, type Logger } from 'pino';
import { loadConfig, MigrateConfig } from './config.ts';
import { areCurrent, dropStale, replaceDefinitions } from './db/migrate/definitions.ts';
import { OWNERS } from './db/migrate/ours.ts';
import { checkServer } from './db/migrate/preflight.ts';
import { upgradeQueueSchema } from './db/migrate/queue-schema.ts';
import { updateQueues } from './db/migrate/queues.ts';
import { OWN_SOURCES, readSql, type Sources } from './db/migrate/sources.ts';
import { splitStatements, type Statement } from './db/migrate/statements.ts';
import { refuseTakenNames } from './db/migrate/taken-names.ts';
import { isTrigger, updateTriggers } from './db/migrate/triggers.ts';
import { inTurn } from './db/migrate/turns.ts';
import { applyMigrations, createBooks, missingMigrations } from './db/migrations.ts';
import { givenPasswords, prepareRoles, type Passwords } from './db/roles.ts';
import { exitOnFailure } from './process.ts';

/** What a test gives instead: another folder of SQL, less patience with locks. */
export type MigrateOptions = { sources?: Sources; patienceMs?: number };

/**
 * Brings a database to the state that this version needs, in one transaction: roles, the queue's schema
 * and queues, sql/migrations, functions, triggers and views, and what each role may do. When anything
 * fails, everything stays as it was. Running it again, or several at the same time, changes nothing.
 * Roles whose password is given can log in with it.
 */
export async function migrate(
  config: MigrateConfig,
  log: Logger,
  passwords: Passwords = {},
  { sources = OWN_SOURCES, ...turnOptions }: MigrateOptions = {},
): Promise<void> {
  const databaseUrl = config.DATABASE_URL;
  const client = new Client({ connectionString: databaseUrl, application_name: 'oms-migrate' });
  client.on('error', (err) => log.error({ err }, 'database connection failed'));
  client.on('notice', ({ message }) => log.warn(message)); // WARNINGs only: inTurn hides NOTICEs
  await client.connect();
  try {
    await checkServer(client);
    await inTurn(client, { databaseUrl, log, ...turnOptions }, async () => {
      await prepareRoles(client, passwords, sources); // from here on as oms_owner
      const definitions = await readDefinitions(sources);
      await refuseTakenNames(client, definitions, sources);
      await createBooks(client);
      const missing = await missingMigrations(client, sources);
      await migrateQueue(client, config);
      await applyMigrations(client, missing, log);
      await migrateDefinitions(client, definitions);
      await client.query(await readSql(sources, 'grants.sql'));
      await client.query(await readSql(sources, 'apply_grants.sql'));
    });
  } finally {
    await client.end();
  }
}

/** As oms_queue, who owns the queue. */
async function migrateQueue(client: Client, config: MigrateConfig): Promise<void> {
  await client.query('SET LOCAL ROLE oms_queue');
  await upgradeQueueSchema(client);
  await updateQueues(client, { heartbeatSeconds: config.HEARTBEAT_SECONDS });
  await client.query('SET LOCAL ROLE oms_owner');
}

async function readDefinitions(sources: Sources): Promise<Statement[]> {
  const files = sources.definitions.map(async (path) =>
    splitStatements(path, await readSql(sources, path)),
  );
  return (await Promise.all(files)).flat();
}

async function migrateDefinitions(client: Client, statements: Statement[]): Promise<void> {
  await client.query('CREATE SCHEMA IF NOT EXISTS ops; CREATE SCHEMA IF NOT EXISTS audit');
  const triggers = statements.filter(isTrigger);
  const others = statements.filter((statement) => !isTrigger(statement));
  if (await areCurrent(client, others)) return updateTriggers(client, triggers);
  // The owners of SECURITY DEFINER functions may create only while they are given what is theirs.
  const creators = OWNERS.filter((owner) => owner !== 'oms_owner').join();
  await client.query(`GRANT CREATE ON SCHEMA public, ops, audit TO ${creators}`);
  const replaced = await replaceDefinitions(client, others);
  await updateTriggers(client, triggers);
  await dropStale(client, others, replaced);
  await client.query(`REVOKE CREATE ON SCHEMA public, ops, audit FROM ${creators}`);
}

if (import.meta.main) {
  await exitOnFailure(async () => {
    const config = loadConfig(MigrateConfig);
    const log = pino({ name: 'migrate', level: config.LOG_LEVEL });
    await migrate(config, log, givenPasswords(config));
    log.info('database is up to date');
  });
}
