import { test } from '../../test/support/context.ts';
import { connectDba } from '../../test/support/dba.ts';

const BAD_ARGUMENT = 'OM020';

const HASH = `'$argon2id$v=19$m=19456,t=2,p=1$${'A'.repeat(22)}$${'A'.repeat(43)}'`;

const badCalls = [
  `register_user(NULL, 'Ada', 'ada@example.test', '$argon2id$')`,
  `register_user(gen_random_uuid(), 'Ada', 'ada@example.test', NULL)`,
  `register_user(gen_random_uuid(), 'Ada', 'ada@example.test', 'plain text')`,
  `register_user(gen_random_uuid(), 'Ada', 'ada@example.test', '$argon2id$v=19$m=19456,t=2,p=1$c2FsdA$aGFzaA')`,
  ...["' '", "E'\\u00A0'", "E'\\u3000\\uFEFF\\t'"].map(
    (blank) => `register_user(gen_random_uuid(), ${blank}, 'ada@example.test', ${HASH})`,
  ),
  `find_user(NULL)`,
  `password_salt(NULL)`,
  `log_in(NULL, '$argon2id$', gen_random_uuid(), sha256('t'), 60)`,
  `log_in('ada@example.test', NULL, gen_random_uuid(), sha256('t'), 60)`,
  `log_in('ada@example.test', '', gen_random_uuid(), sha256('t'), 60)`,
  `log_in('ada@example.test', '$argon2id$', NULL, sha256('t'), 60)`,
  `log_in('ada@example.test', '$argon2id$', gen_random_uuid(), NULL, 60)`,
  `log_in('ada@example.test', '$argon2id$', gen_random_uuid(), 'short', 60)`,
  `log_in('ada@example.test', '$argon2id$', gen_random_uuid(), sha256('t'), NULL)`,
  `log_in('ada@example.test', '$argon2id$', gen_random_uuid(), sha256('t'), 2000000000)`,
  `log_in('ada@example.test', '$argon2id$', gen_random_uuid(), sha256('t'), 60, NULL, NULL, NULL, 0)`,
  `log_in('ada@example.test', '$argon2id$', gen_random_uuid(), sha256('t'), 60, NULL, NULL, -1, 0)`,
  `log_in('ada@example.test', '$argon2id$', gen_random_uuid(), sha256('t'), 60, NULL, NULL, 0, 2000000)`,
  `count_attempt(NULL, '203.0.113.1', 5)`,
  `count_attempt('login total', '203.0.113.1', 5)`,
  `count_attempt('register', NULL, 5)`,
  `count_attempt('register', '203.0.113.1', NULL)`,
  `count_attempt('register', '203.0.113.1', 0)`,
  `count_attempt('register', '203.0.113.1', 2000000)`,
  `refresh_session(NULL, gen_random_uuid(), sha256('s'), 10)`,
  `refresh_session('short', gen_random_uuid(), sha256('s'), 10)`,
  `refresh_session(sha256('t'), NULL, sha256('s'), 10)`,
  `refresh_session(sha256('t'), gen_random_uuid(), NULL, 10)`,
  `refresh_session(sha256('t'), gen_random_uuid(), 'short', 10)`,
  `refresh_session(sha256('t'), gen_random_uuid(), sha256('s'), NULL)`,
  `refresh_session(sha256('t'), gen_random_uuid(), sha256('s'), 1000000)`,
  `end_session(NULL)`,
  `end_session('short')`,
  `end_all_sessions(NULL)`,
  ...['NULL', `'plain text'`, `'$argon2id$'`].flatMap((hash) => [
    `change_password(gen_random_uuid(), '$argon2id$', ${hash}, gen_random_uuid())`,
    `use_password_reset(sha256('t'), ${hash})`,
  ]),
  `change_password(NULL, '$argon2id$', ${HASH}, gen_random_uuid())`,
  `change_password(gen_random_uuid(), NULL, ${HASH}, gen_random_uuid())`,
  `change_password(gen_random_uuid(), 'none', ${HASH}, gen_random_uuid())`,
  `change_password(gen_random_uuid(), '$argon2id$', ${HASH}, NULL)`,
  `use_password_reset(NULL, ${HASH})`,
  `use_password_reset('short', ${HASH})`,
  `end_own_session(NULL, gen_random_uuid())`,
  `end_own_session(gen_random_uuid(), NULL)`,
  `list_sessions(NULL)`,
  `live_sessions(NULL, NULL)`,
  `live_sessions(ARRAY[gen_random_uuid()], '{}')`,
];

for (const call of badCalls) {
  test(`a bad argument is refused: ${call}`, async (t) => {
    const { refusal } = await connectDba(t, t.context, 'oms_api');
    t.is((await refusal(`SELECT ${call}`)).code, BAD_ARGUMENT);
  });
}
