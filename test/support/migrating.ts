/*
 * Databases to migrate, and copies of sql/ to edit, for the tests of migrate.
 */
import { appendFile, cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { pathToFileURL } from 'node:url';
import type { ExecutionContext } from 'ava';
import { Client } from 'pg';
import { pino } from 'pino';
import { OWN_SOURCES, type Sources } from '../../src/db/migrate/sources.ts';
import { migrate, type MigrateOptions } from '../../src/migrate.ts';
import { emptyDatabase, type Context } from './context.ts';
import { copyTemplate, onServer, testConfig } from './template.ts';

type T = ExecutionContext<Context>;

/** A database to migrate, a superuser's connection to it, and the log lines of migrate. */
export type Migrating = Awaited<ReturnType<typeof toMigrate>>;

/** A database without migrations, for one test. */
export async function emptyToMigrate(t: T): Promise<Migrating> {
  return toMigrate(t, await emptyDatabase(t));
}

/** A database that is up to date, for one test. */
export async function migratedDatabase(t: T): Promise<Migrating> {
  const name = `${t.context.database}_${Math.random().toString(36).slice(2, 8)}`;
  await copyTemplate(name);
  t.teardown(() => onServer(`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`));
  return toMigrate(t, name);
}

async function toMigrate(t: T, database: string) {
  const config = testConfig(database);
  const client = await connect(t, config.DATABASE_URL);
  const logged: string[] = [];
  const log = pino({ level: 'warn' }, { write: (line) => logged.push(JSON.parse(line).msg) });
  const run = (options?: MigrateOptions) => migrate(config, log, {}, options);
  return { database, config, client, log, logged, migrate: run };
}

/** Opens a connection until the test ends. */
export async function connect(t: T, databaseUrl: string): Promise<Client> {
  const client = new Client(databaseUrl);
  client.on('error', () => undefined); // the database may be dropped first
  await client.connect();
  t.teardown(() => client.end());
  return client;
}

/** A copy of sql/ that a test may edit. */
type EditableSources = Sources & {
  write: (path: string, text: string) => Promise<void>;
  append: (path: string, text: string) => Promise<void>;
  /** Removes a file, from the list of definitions too. */
  remove: (path: string) => Promise<void>;
  /** Adds a file at the end of the list of definitions. */
  define: (path: string, text: string) => Promise<void>;
  replace: (path: string, from: string, to: string) => Promise<void>;
};

/** Copies sql/ for one test. */
export async function editableSources(t: T): Promise<EditableSources> {
  const path = await mkdtemp(`${tmpdir()}/oms-sql-`);
  t.teardown(() => rm(path, { recursive: true }));
  await cp(OWN_SOURCES.dir, path, { recursive: true });
  const dir = pathToFileURL(`${path}/`);
  const definitions = [...OWN_SOURCES.definitions];
  const write = (file: string, text: string) => writeFile(new URL(file, dir), text);
  return {
    dir,
    definitions,
    write,
    append: (file, text) => appendFile(new URL(file, dir), text),
    async remove(file) {
      if (definitions.includes(file)) definitions.splice(definitions.indexOf(file), 1);
      await rm(new URL(file, dir));
    },
    async define(file, text) {
      if (!definitions.includes(file)) definitions.push(file);
      await write(file, text);
    },
    async replace(file, from, to) {
      const text = await readFile(new URL(file, dir), 'utf8');
      if (!text.includes(from)) throw new Error(`${file} does not contain ${from}`);
      await write(file, text.replaceAll(from, to));
    },
  };
}

/** The first column of a query's rows. */
export async function column(client: Client, query: string): Promise<string[]> {
  const { rows } = await client.query<[string]>({ text: query, rowMode: 'array' });
  return rows.map(([value]) => value);
}

/**
 * All relations and functions of our schemas and of pg-boss's. A line changes when a table is rewritten, when the text
 * of a function changes, and when an object is dropped and made again.
 */
export async function objectsOf(client: Client): Promise<string[]> {
  return column(
    client,
    `SELECT concat_ws(' ', nspname, name, o.oid, version) FROM (
       SELECT relnamespace, relname::text AS name, oid, relfilenode::text AS version FROM pg_class
       UNION ALL SELECT pronamespace, oid::regprocedure::text, oid, md5(prosrc) FROM pg_proc
     ) AS o JOIN pg_namespace AS n ON n.oid = o.relnamespace
     WHERE nspname IN ('public', 'ops', 'audit', 'pgboss')
     ORDER BY 1`,
  );
}
