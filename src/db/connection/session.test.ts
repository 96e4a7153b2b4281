import { test } from '../../../test/support/context.ts';
import { sessionProblem, startupSettings } from './session.ts';

const LIMITS = { statementTimeoutMs: 10_000, idleInTransactionTimeoutMs: 10_000 };

/** The facts of a session that has the settings of the service, except these. */
function session(settings: Record<string, string | null>) {
  const facts = { pid: 1, is_standby: false, is_read_only: false };
  const own = {
    ...startupSettings(LIMITS, false),
    session_replication_role: 'origin',
    synchronous_commit: 'on',
  };
  return { ...facts, settings: { ...own, ...settings } };
}

test('a session with the settings of the service is used', (t) => {
  t.is(sessionProblem(session({}), LIMITS, false), undefined);
});

test('a pooler whose sessions have other, harmless values is accepted', (t) => {
  const settings = {
    statement_timeout: '5s',
    search_path: '"$user", public',
    DateStyle: 'ISO, DMY',
    jit: 'on',
    synchronous_commit: 'remote_apply',
    transaction_timeout: null, // Postgres 15 and 16 do not know it
  };

  t.is(sessionProblem(session(settings), LIMITS, true), undefined);
});

test('a pooler whose sessions have no timeout is refused, with the line to add', (t) => {
  t.is(
    sessionProblem(session({ statement_timeout: '0' }), LIMITS, true),
    'The connection pooler gives sessions statement_timeout = 0: add to connect_query of PgBouncer: ' +
      `SET statement_timeout = '10000ms'`,
  );
});

for (const [name, value] of [
  ['synchronous_commit', 'off'],
  ['search_path', 'pg_catalog'],
  ['extra_float_digits', '-15'],
  ['default_transaction_isolation', 'serializable'],
  ['IntervalStyle', 'sql_standard'],
  ['TimeZone', 'Africa/Monrovia'],
] as const) {
  test(`a pooler whose sessions have ${name} = ${value} is refused`, (t) => {
    const problem = sessionProblem(session({ [name]: value }), LIMITS, true) ?? '';

    t.true(
      problem.includes(`${name} = ${value}: add to connect_query of PgBouncer: SET ${name} =`),
    );
  });
}

test('a session in which triggers do not run is refused', (t) => {
  const replica = session({ session_replication_role: 'replica' });

  t.regex(sessionProblem(replica, LIMITS, false) ?? '', /^Sessions have session_replication_role/);
});

test('a pooler gets only the settings that PgBouncer tracks', (t) => {
  t.deepEqual(Object.keys(startupSettings(LIMITS, true)), [
    'DateStyle',
    'TimeZone',
    'standard_conforming_strings',
  ]);
});
