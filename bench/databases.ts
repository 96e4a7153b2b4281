import { Client } from 'pg';
import { pino } from 'pino';
import { MigrateConfig } from '../src/config.ts';
import { loadConfig, type Environment } from '../src/config/load.ts';
import type { RolePasswords } from '../src/db/role-passwords.ts';
import { serviceUrl } from '../src/db/roles.ts';
import { ensureDatabase, type EmbeddedPostgres } from '../src/local/postgres.ts';
import { migrate } from '../src/migrate.ts';
import { NO_LIMITS } from '../test/support/template.ts';

const JWT_SECRET = 'a-secret-for-measuring-and-nothing-else';

/** A migrated database of the service, and the environment of its processes, which log in with their own roles. */
type Service = {
  databaseUrl: string;
  env: (role: 'api' | 'worker') => Environment;
};

/** The databases of a machine. */
export type Databases = {
  /** Returns the URL with which the superuser connects to a database. Creates the database when it does not exist. */
  databaseUrl: (name: string) => Promise<string>;
  /** A database of the service, by default 'orders'. Creates and migrates it the first time. */
  service: (name?: string) => Promise<Service>;
  /** Runs a statement as the superuser in a database, by default 'postgres'. */
  query: <Row extends object>(statement: string, database?: string) => Promise<Row[]>;
  /** Writes dirty pages to disk, so the next measurement does not pay for them. */
  checkpoint: () => Promise<void>;
};

/** Connects. After the connection breaks, the running statement or the next one rejects. */
export async function connect(url: string): Promise<Client> {
  const client = new Client(url);
  client.on('error', () => undefined); // without a listener the error would end the process
  await client.connect();
  return client;
}

export function openDatabases(
  postgres: EmbeddedPostgres,
  redisUrl: string,
  passwords: RolePasswords,
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
