/*
 * The settings of a session that the service relies on. Roles, databases and servers can have others: ALTER ROLE … SET,
 * ALTER DATABASE … SET, postgresql.conf. A connection to Postgres sends them at its start, where they take precedence
 * over all of these, and over `options` in DATABASE_URL. A connection pooler takes only some; the others are checked.
 */

/** How long a session may run a statement, and be idle in a transaction; 0 for no limit. */
export type Limits = { statementTimeoutMs: number; idleInTransactionTimeoutMs: number };

/** The settings that PgBouncer, too, sets for each of its clients. */
const TRACKED = {
  DateStyle: 'ISO',
  TimeZone: 'UTC',
  standard_conforming_strings: 'on',
};

const UNTRACKED = {
  IntervalStyle: 'postgres',
  extra_float_digits: '1',
  bytea_output: 'hex',
  search_path: 'public, pg_temp',
  default_transaction_isolation: 'read committed',
  default_transaction_deferrable: 'off',
  quote_all_identifiers: 'off',
  transform_null_equals: 'off',
  array_nulls: 'on',
  row_security: 'on',
  lock_timeout: '0',
  idle_session_timeout: '0',
  plan_cache_mode: 'auto',
  jit: 'off',
};

/** What the client sends in its startup message. */
export function startupSettings(limits: Limits, pooled: boolean): Record<string, string> {
  if (pooled) return TRACKED;
  return {
    ...TRACKED,
    ...UNTRACKED,
    statement_timeout: String(limits.statementTimeoutMs),
    idle_in_transaction_session_timeout: String(limits.idleInTransactionTimeoutMs),
  };
}

/** An expression for the value of a setting. NULL when the server does not know it. */
function setting(name: string): string {
  return `pg_catalog.current_setting('${name}', true)`;
}

/** What a session reports about itself. */
type SessionFacts = {
  pid: number;
  is_standby: boolean;
  is_read_only: boolean;
  settings: Record<string, string | null>;
};

const REPORTED = [
  ...Object.keys({ ...TRACKED, ...UNTRACKED }),
  'statement_timeout',
  'idle_in_transaction_session_timeout',
  'synchronous_commit',
  'session_replication_role',
  'transaction_timeout',
];

/**
 * One statement, after the start of a session: sets what no startup message can, and reports. It sets something only
 * when the session belongs to this client alone, because the server then has the process id that the client knows.
 * - synchronous_commit is raised to on, and remote_apply stays, because it waits for more.
 * - default_transaction_read_only of a role is undone; any login can set it for its own role. That of a database stays:
 *   owners freeze a database with it, for example before they switch to another one.
 * - transaction_timeout exists only since Postgres 17.
 */
export function settleSession(processId: number | null): string {
  const own = `pg_catalog.pg_backend_pid() OPERATOR(pg_catalog.=) ${processId ?? -1}`;
  const read_only = `(SELECT s.source FROM pg_catalog.pg_settings AS s
    WHERE s.name OPERATOR(pg_catalog.=) 'default_transaction_read_only'
      AND s.setting OPERATOR(pg_catalog.=) 'on')`;
  return `
    WITH set AS MATERIALIZED (
      SELECT
        CASE WHEN ${own} AND ${setting('synchronous_commit')} NOT IN ('on', 'remote_apply')
          THEN pg_catalog.set_config('synchronous_commit', 'on', false) END AS a,
        CASE WHEN ${own} AND ${read_only} IN ('user', 'database user')
          THEN pg_catalog.set_config('default_transaction_read_only', 'off', false) END AS b,
        CASE WHEN ${own} AND ${setting('transaction_timeout')} <> '0'
          THEN pg_catalog.set_config('transaction_timeout', '0', false) END AS c
    )
    SELECT pg_catalog.pg_backend_pid() AS pid, pg_catalog.pg_is_in_recovery() AS is_standby,
      b IS NULL AND ${setting('default_transaction_read_only')} OPERATOR(pg_catalog.=) 'on' AS is_read_only,
      ARRAY[${REPORTED.map(setting).join(', ')}]::text[] AS settings
    FROM set`;
}

/** Converts the row of that statement. */
export function readFacts(row: {
  pid: number;
  is_standby: boolean;
  is_read_only: boolean;
  settings: (string | null)[];
}): SessionFacts {
  const settings = REPORTED.map((name, i) => [name, row.settings[i] ?? null]);
  return { ...row, settings: Object.fromEntries(settings) };
}

type Wanted = { name: string; value: string; accepts: (found: string) => boolean };

/** Any limit will do, where there has to be one. */
function wantedTimeout(name: string, ms: number): Wanted {
  return { name, value: `${ms}ms`, accepts: (value) => value !== '0' || ms === 0 };
}

/** What a session through a pooler must have. Values that do no harm are accepted. */
function wantedSettings(limits: Limits): Wanted[] {
  return [
    ...Object.entries({ ...TRACKED, ...UNTRACKED }).map(([name, value]) => ({
      name,
      value,
      accepts: (found: string) => found === value || (HARMLESS[name] ?? []).includes(found),
    })),
    wantedTimeout('statement_timeout', limits.statementTimeoutMs),
    wantedTimeout('idle_in_transaction_session_timeout', limits.idleInTransactionTimeoutMs),
    {
      name: 'synchronous_commit',
      value: 'on',
      accepts: (found) => ['on', 'remote_apply'].includes(found),
    },
    { name: 'transaction_timeout', value: '0', accepts: (found) => found === '0' },
  ];
}

/** Other values of a setting that change no reply, no rule and no limit. */
const HARMLESS: Record<string, string[]> = {
  DateStyle: ['ISO, MDY', 'ISO, DMY', 'ISO, YMD'],
  TimeZone: ['Etc/UTC', 'GMT', 'Etc/GMT', 'UCT', 'Zulu'],
  extra_float_digits: ['2', '3'],
  search_path: ['public', '"$user", public', '"$user",public', '"$user", public, pg_temp'],
  jit: ['on'],
};

/**
 * Why a session cannot be used, as one line, or undefined. `session_replication_role` = replica switches off the
 * triggers, and so every rule of the database.
 */
export function sessionProblem(
  { settings }: SessionFacts,
  limits: Limits,
  pooled: boolean,
): string | undefined {
  const role = settings.session_replication_role;
  if (role !== 'origin') {
    return (
      `Sessions have session_replication_role = ${role}, which switches off the rules of the database: ` +
      'reset it for the role, the database or the server'
    );
  }
  const wrong = wantedSettings(limits).filter(({ name, accepts }) => {
    const value = settings[name];
    return value !== null && value !== undefined && !accepts(value);
  });
  if (wrong.length === 0) return undefined;
  const found = wrong.map(({ name }) => `${name} = ${settings[name]}`).join(', ');
  const sets = wrong.map(({ name, value }) => `SET ${name} = ${quote(name, value)}`).join('; ');
  return pooled
    ? `The connection pooler gives sessions ${found}: add to connect_query of PgBouncer: ${sets}`
    : `Sessions have ${found}, although the service asks for: ${sets}`;
}

function quote(name: string, value: string): string {
  return name === 'search_path' ? value : `'${value}'`;
}
