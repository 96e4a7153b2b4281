import { Client } from 'pg';
import { pino, type Logger } from 'pino';
import { queues, schedules, type QueueName } from '../jobs/queues.ts';
import { loadConfig, MigrateConfig } from './config.ts';
import { createBoss } from './db/boss.ts';
import { applyMigrations, createViews, dropViews, refuseEdited } from './db/migrations.ts';
import { asRole, becomeOwner, grantRights, type Passwords } from './db/roles.ts';
import { exitOnFailure } from './process.ts';

/** Any number; what matters is that all processes that migrate take the same one. */
const MIGRATE_LOCK = 6_217_340_915;

/**
 * Brings a database to the state that this version needs: the queue's schema and queues, then
 * sql/migrations, then the schemas of views and what each role may do. Running it again, or twice at
 * the same time, changes nothing. Roles whose password is given can log in with it.
 */
export async function migrate(
  config: MigrateConfig,
  log: Logger,
  passwords: Passwords = {},
): Promise<void> {
  const client = new Client({
    connectionString: config.DATABASE_URL,
    application_name: 'oms-migrate',
  });
  client.on('error', (err) => log.error({ err }, 'database connection failed'));
  await client.connect();
  try {
    await client.query('SELECT pg_advisory_lock($1)', [MIGRATE_LOCK]);
    await becomeOwner(client, passwords);
    await refuseEdited(client); // while everything, views included, is still as it was
    await dropViews(client);
    await createQueues(config, log);
    await applyMigrations(client, log);
    await createViews(client);
    await grantRights(client);
  } finally {
    await client.end(); // and with it the lock
  }
}

async function createQueues(config: MigrateConfig, log: Logger): Promise<void> {
  const DATABASE_URL = asRole(config.DATABASE_URL, 'oms_queue'); // who owns it
  const boss = createBoss({ DATABASE_URL, QUEUE_POOL_SIZE_MAX: 2 }, 'migrate', log);
  await boss.start();
  try {
    for (const name of Object.keys(queues) as QueueName[]) {
      const { partition, ...settings } = { partition: false, ...queues[name].options };
      const options = { ...settings, heartbeatSeconds: config.HEARTBEAT_SECONDS };
      await boss.createQueue(name, { ...options, partition });
      await boss.updateQueue(name, options); // createQueue leaves a queue that exists as it is
    }
    for (const { queue, cron } of schedules) await boss.schedule(queue, cron, {});
  } finally {
    await boss.stop({ graceful: false });
  }
}

if (import.meta.main) {
  await exitOnFailure(async () => {
    const config = loadConfig(MigrateConfig);
    const log = pino({ name: 'migrate', level: config.LOG_LEVEL });
    await migrate(config, log, {
      ...(config.API_DATABASE_PASSWORD && { oms_api: config.API_DATABASE_PASSWORD }),
      ...(config.WORKER_DATABASE_PASSWORD && { oms_worker: config.WORKER_DATABASE_PASSWORD }),
      ...(config.DBA_DATABASE_PASSWORD && { oms_dba: config.DBA_DATABASE_PASSWORD }),
    });
    log.info('database is up to date');
  });
}
