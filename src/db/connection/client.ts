/*
 * Every connection of the service to Postgres is a DatabaseClient: those of the pool, of the queue, of migrate and of
 * the audit. So all of them read DATABASE_URL in the same way, and set or check the same settings.
 */
import { callbackify } from 'node:util';
import { Client, type ClientConfig } from 'pg';
import { ReadableError } from '../../process.ts';
import { sqlStateOf } from '../errors.ts';
import { findRoute, type Route } from './route.ts';
import { applicationName } from './application-name.ts';
import { passwordFor } from './passfile.ts';
import {
  readFacts,
  sessionProblem,
  settleSession,
  startupSettings,
  type Limits,
} from './session.ts';
import { readTarget, type Target } from './target.ts';
import { tlsOptions } from './tls.ts';

/**
 * The kind of a connection. `pg_stat_activity` shows its name, with host and process id, unless DATABASE_URL has an
 * application_name. `direct`: the connection needs a session of its own, so a connection pooler is refused.
 */
type ConnectionKind = Limits & { name: string; direct?: boolean };

/** How connections are made. All connections of a pool share one Connector. `route`: the route that worked last. */
export type Connector = {
  target: Target;
  kind: ConnectionKind;
  route?: Promise<Route> | undefined;
};

export function createConnector(databaseUrl: string, kind: ConnectionKind): Connector {
  return { target: readTarget(databaseUrl), kind };
}

/** Returns the route that the connector has, or finds one. Rejects when no route works. */
export async function ensureRoute(connector: Connector): Promise<Route> {
  const route = (connector.route ??= findRoute(connector.target, (attempt) =>
    tryRoute(connector, attempt),
  ));
  try {
    return await route;
  } catch (error) {
    forget(connector, route);
    throw error;
  }
}

function forget(connector: Connector, route: Connector['route']): void {
  if (connector.route === route) connector.route = undefined;
}

/** Creates a client for a single connection. */
export function createClient(databaseUrl: string, kind: ConnectionKind): DatabaseClient {
  return new DatabaseClient({ connector: createConnector(databaseUrl, kind) });
}

/** The options of a client. `types` replaces the parsers of pg. */
export type ClientOptions = Pick<ClientConfig, 'types'> & { connector: Connector };

const NEEDS_DIRECT_CONNECTION =
  'DATABASE_URL leads through a connection pooler, such as PgBouncer: migrate needs a connection to Postgres itself.';

/** Members of pg's Client that its types leave out. */
type Internals = {
  password: () => string;
  host: string;
  port: number;
  ssl: unknown;
  sslNegotiation: string;
  processID: number | null;
  connection: { ssl: unknown; sslNegotiation: string };
};

/**
 * A client of pg that connects by the route of a Connector. The loss of the connection rejects the statement in flight,
 * or else the next one. It ends no process, as the event 'error' of pg would before its pool listens.
 */
export class DatabaseClient extends Client {
  readonly #connector: Connector;
  #route: Route | undefined;

  constructor({ connector, types }: ClientOptions) {
    super(clientConfig(connector, types));
    this.#connector = connector;
    this.on('error', () => undefined);
    const internals = this as unknown as Internals;
    internals.password = () => passwordFor(connector.target, this.#route ?? { host: '', port: 0 });
  }

  /** Whether a connection pooler stands between client and Postgres, so that the client has no session of its own. */
  get isPooled(): boolean {
    return this.#route?.pooled ?? false;
  }

  override connect(): Promise<this>;
  override connect(callback: (error: Error) => void): void;
  override connect(callback?: (error: Error) => void): Promise<this> | void {
    const connected = this.#open();
    if (callback === undefined) return connected;
    callbackify(() => connected)(callback);
  }

  async #open(): Promise<this> {
    const found = await ensureRoute(this.#connector);
    const { route } = this.#connector;
    try {
      await this.follow(found);
      return this;
    } catch (error) {
      // The next connection looks for a route again: the server may have moved, or may be a standby now.
      forget(this.#connector, route);
      throw error;
    }
  }

  /** Connects by this route, and sets and checks the settings of the session. */
  async follow(route: Route): Promise<void> {
    const { target, kind } = this.#connector;
    this.#route = route;
    const internals = this as unknown as Internals;
    internals.host = route.address ?? route.host;
    internals.port = route.port;
    internals.ssl = internals.connection.ssl = route.tls ? tlsOptions(target, route) : false;
    internals.sslNegotiation = internals.connection.sslNegotiation = target.sslNegotiation;
    await super.connect().catch((error: unknown) => {
      throw explained(error);
    });
    try {
      const { rows } = await super.query(settleSession(internals.processID));
      const facts = readFacts(rows[0]);
      if (facts.pid !== internals.processID) this.#route = { ...route, pooled: true };
      if (this.isPooled && kind.direct) throw new ReadableError(NEEDS_DIRECT_CONNECTION);
      if (target.mustWrite && (facts.is_standby || facts.is_read_only)) throw readOnlyError(facts);
      const problem = sessionProblem(facts, kind, this.isPooled);
      if (problem !== undefined) throw new ReadableError(problem);
    } catch (error) {
      await super.end().catch(() => undefined);
      throw error;
    }
  }

  /** The parameters of the startup message. Overrides a method of pg that its types leave out. */
  getStartupConf(): Record<string, string> {
    const { target, kind } = this.#connector;
    return {
      user: target.user,
      database: target.database,
      application_name: target.applicationName ?? applicationName(kind.name),
      ...(target.options !== undefined && { options: target.options }),
      ...startupSettings(kind, this.#route?.pooled ?? false),
    };
  }

  /** Sends no prepared statements through a pooler, because the next statement may run in another session. */
  // eslint-disable-next-line @typescript-eslint/no-explicit-any -- pg has eight overloads
  override query(config: any, ...rest: any[]): any {
    if (this.isPooled && typeof config === 'object' && config !== null && 'name' in config) {
      const { name: _name, ...unnamed } = config;
      return super.query(unnamed, ...(rest as []));
    }
    return super.query(config, ...(rest as []));
  }
}

/** Connects only to find out whether a route works, and whether it leads through a pooler. */
async function tryRoute(connector: Connector, route: Route): Promise<Route> {
  const client = new DatabaseClient({ connector });
  await client.follow(route);
  const { isPooled } = client;
  await client.end();
  return { ...route, pooled: isPooled };
}

/** Sets every option that pg would otherwise take from the variables PG… of the process. */
function clientConfig({ target }: Connector, types: ClientOptions['types']): ClientConfig {
  const [first] = target.hosts;
  return {
    user: target.user,
    database: target.database,
    host: first?.host,
    port: first?.port,
    ssl: false,
    sslnegotiation: 'postgres',
    connectionTimeoutMillis: target.connectTimeoutMs,
    keepAlive: true,
    ...(types && { types }),
  };
}

function explained(error: unknown): unknown {
  // The error of pg's timeout has no code.
  if (error instanceof Error && error.message === 'timeout expired') {
    return Object.assign(new Error('the server does not answer', { cause: error }), {
      code: 'ETIMEDOUT',
    });
  }
  // Postgres 13 and older do not know this setting. The service needs 15.
  if (sqlStateOf(error) === '42704' && String(error).includes('idle_session_timeout')) {
    return new ReadableError('This server is older than Postgres 15', { cause: error });
  }
  return error;
}

/** The error has the SQLSTATE of a write on such a server. */
function readOnlyError({ is_standby }: { is_standby: boolean }): Error {
  const what = is_standby ? 'a standby, which is read-only' : 'read-only';
  return Object.assign(new Error(`the server is ${what}`), { code: '25006' });
}
