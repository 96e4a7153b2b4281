import { Client } from 'pg';
import { pino } from 'pino';
import { loadConfig, MigrateConfig, type Environment } from '../src/config.ts';
import type { Passwords } from '../src/db/passwords.ts';
import { serviceUrl } from '../src/db/roles.ts';
import { ensureDatabase, type EmbeddedPostgres } from '../src/local/postgres.ts';
import { migrate } from '../src/migrate.ts';
import { NO_LIMITS } from '../test/support/template.ts';

const JWT_SECRET = 'a-secret-for-measuring-and-nothing-else';

/** A migrated database of our service, and the environment for its processes, each in its own role. */
export type Service = {
  databaseUrl: string;
  env: (role: 'api' | 'worker') => Environment;
};

/** The databases of a machine. */
export type Databases = {
  /** Of the superuser; creates the database when it is missing. */
  databaseUrl: (name: string) => Promise<string>;
  /** Our service's database of that name, 'orders' unless another is asked for; migrated the first time. */
  service: (name?: string) => Promise<Service>;
  /** Runs a statement as the superuser in a database, 'postgres' unless another is named. */
  query: <Row extends object>(statement: string, database?: string) => Promise<Row[]>;
  /** Writes dirty pages out, so that they are not the bill of whoever is measured next. */
  checkpoint: () => Promise<void>;
};

/** Connects. What breaks the connection is told to whoever uses it: then, or by its next statement. */
export async function connect(url: string): Promise<Client> {
  const client = new Client(url);
  client.on('error', () => undefined); // else it would end the process, whatever else went wrong before
  await client.connect();
  return client;
}

export function openDatabases(
  postgres: EmbeddedPostgres,
  redisUrl: string,
  passwords: Passwords,
): Databases {
  const services = new Map<string, Promise<Service>>();

  async function query<Row extends object>(statement: string, database = 'postgres') {
    const client = await connect(postgres.url(database));
    try {
      return (await client.query<Row>(statement)).rows;
    } finally {
      await client.end();
    }
  }

  async function openService(name: string): Promise<Service> {
    await ensureDatabase(postgres, name);
    const url = postgres.url(name);
    const config = loadConfig(MigrateConfig, { DATABASE_URL: url });
    await migrate(config, pino({ level: 'silent' }), passwords);
    const env = (role: 'api' | 'worker') => ({
      DATABASE_URL: serviceUrl(url, `oms_${role}`, passwords[`oms_${role}`]),
      REDIS_URL: redisUrl,
      REDIS_PREFIX: name,
      JWT_SECRET,
      ACCESS_TOKEN_TTL_SECONDS: '86400',
      LOG_LEVEL: 'warn',
      ...NO_LIMITS,
    });
    return { databaseUrl: url, env };
  }

  return {
    async databaseUrl(name) {
      await ensureDatabase(postgres, name);
      return postgres.url(name);
    },
    service(name = 'orders') {
      const opened = services.get(name) ?? openService(name);
      services.set(name, opened);
      return opened;
    },
    query,
    checkpoint: async () => void (await query('CHECKPOINT')),
  };
}
