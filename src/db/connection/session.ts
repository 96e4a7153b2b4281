/*
 * The settings of a session that the service relies on. A role, a database or a server may have other values: ALTER
 * ROLE … SET, ALTER DATABASE … SET, postgresql.conf. Therefore the client sends its own values in the startup message,
 * where they take precedence over those, and over `options` in DATABASE_URL. A connection pooler accepts only some of
 * them there. So the client also checks the values that its session has.
 */

/** How long a session may run a statement, and be idle in a transaction; 0 for no limit. */
export type Limits = { statementTimeoutMs: number; idleInTransactionTimeoutMs: number };

/** PgBouncer accepts these in a startup message, and sets them for each client. */
const TRACKED = {
  DateStyle: 'ISO',
  TimeZone: 'UTC',
  standard_conforming_strings: 'on',
};

/** PgBouncer refuses these in a startup message, unless its settings allow them. */
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

/** The settings that the client sends in its startup message. */
export function startupSettings(limits: Limits, pooled: boolean): Record<string, string> {
  if (pooled) return TRACKED;
  return {
    ...TRACKED,
    ...UNTRACKED,
    statement_timeout: String(limits.statementTimeoutMs),
    idle_in_transaction_session_timeout: String(limits.idleInTransactionTimeoutMs),
  };
}

/** A SQL expression for the value of a setting: NULL when the server does not know the setting. */
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
 * Returns the first statement of a session. It changes the settings below, which a startup message cannot, and reports
 * the facts of the session. It changes nothing in a session of a pooler, whose process id is not the one that the
 * client was told.
 * - synchronous_commit becomes on, if it is lower. The value remote_apply stays, because it waits for more.
 * - default_transaction_read_only becomes off, if a role has set it: any login can set it for its own role. The setting
 *   of a database stays: owners use it to freeze a database, for example before they switch to another one.
 * - transaction_timeout becomes 0. It exists only since Postgres 17, so it cannot be in the startup message.
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

/** Converts the row that the statement of `settleSession` returns. */
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

/** Accepts any limit. Accepts 0, which means no limit, only when the service wants none. */
function wantedTimeout(name: string, ms: number): Wanted {
  return { name, value: `${ms}ms`, accepts: (value) => value !== '0' || ms === 0 };
}

/** The settings that a session must have. Harmless other values are accepted. */
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

/** Other values that have no effect on replies, on the checks of the database, or on limits. */
const HARMLESS: Record<string, string[]> = {
  DateStyle: ['ISO, MDY', 'ISO, DMY', 'ISO, YMD'],
  TimeZone: ['Etc/UTC', 'GMT', 'Etc/GMT', 'UCT', 'Zulu'],
  extra_float_digits: ['2', '3'],
  search_path: ['public', '"$user", public', '"$user",public', '"$user", public, pg_temp'],
  jit: ['on'],
};

/**
 * Why a session cannot be used, as one line, or undefined. With session_replication_role = replica, the triggers that
 * check most rules of the service do not run.
 */
export function sessionProblem(
  { settings }: SessionFacts,
  limits: Limits,
  pooled: boolean,
): string | undefined {
  const role = settings.session_replication_role;
  if (role !== 'origin') {
    return (
      `Sessions have session_replication_role = ${role} instead of origin, so triggers may not run: ` +
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
