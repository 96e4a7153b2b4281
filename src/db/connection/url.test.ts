import { test } from '../../../test/support/context.ts';
import { completeUrl, readTarget } from './target.ts';
import { DatabaseUrlError, formatUrl, parseUrl } from './url.ts';

/** URLs, and the parameters that libpq reads from them. */
const read: Record<string, Record<string, string>> = {
  'postgres://': {},
  'postgresql://db': { host: 'db' },
  'postgres://ada:se%40cret@db:5433/orders': {
    user: 'ada',
    password: 'se@cret',
    host: 'db',
    port: '5433',
    dbname: 'orders',
  },
  'postgres://ada:a:b@db/': { user: 'ada', password: 'a:b', host: 'db' },
  'postgres:///orders?host=/run/postgresql&port=5433': {
    dbname: 'orders',
    host: '/run/postgresql',
    port: '5433',
  },
  'postgres://%2Frun%2Fpostgresql:5433/orders': {
    host: '/run/postgresql',
    port: '5433',
    dbname: 'orders',
  },
  'postgres://[::1]:5433,db2:5434/orders?target_session_attrs=read-write': {
    host: '::1,db2',
    port: '5433,5434',
    dbname: 'orders',
    target_session_attrs: 'read-write',
  },
  'postgres://[fe80::1%25eth0]/orders': { host: 'fe80::1%eth0', dbname: 'orders' },
  'postgres://a,b,c/orders?port=1,2,3': { host: 'a,b,c', port: '1,2,3', dbname: 'orders' },
  'postgres://a,b/orders?port=6432': { host: 'a,b', port: '6432', dbname: 'orders' },
  'postgres://db/orders?ssl=true': { host: 'db', dbname: 'orders', sslmode: 'require' },
  'postgres://db/orders?options=-c%20geqo%3Doff%20-c%20work_mem%3D8MB': {
    host: 'db',
    dbname: 'orders',
    options: '-c geqo=off -c work_mem=8MB',
  },
  'postgres://db/orders?user=eve&password=a+b': {
    host: 'db',
    dbname: 'orders',
    user: 'eve',
    password: 'a+b',
  },
};

for (const [url, parameters] of Object.entries(read)) {
  test(`${url} is read as libpq reads it, and written without a change`, (t) => {
    t.deepEqual(parseUrl(url), parameters);
    t.deepEqual(parseUrl(formatUrl(parameters)), parameters);
  });
}

const refused: Record<string, RegExp> = {
  'mysql://db/orders': /^must be a postgres:\/\/ URL$/,
  'postgres://ada:sec@ret@db/orders': /^has no valid host and port; in a password, write @ as %40/,
  'postgres://ada:sec/ret@db/orders': /^has no valid host and port; in a password, write @ as %40/,
  'postgres://ada:100%@db/orders': /^has a % escape that is not valid, in the password$/,
  'postgres://db:99999/orders': /^has a port that is not between 1 and 65535$/,
  'postgres://a:1,b:2/orders?port=1,2,3': /^has a different number of ports than of hosts$/,
  'postgres://db/orders?sslmod=require': /^has the parameter sslmod, which is unknown$/,
  'postgres://db/orders?sslmode=no-verify':
    /^has a parameter sslmode whose value is not supported$/,
  'postgres://db/orders?sslmode': /^has a parameter that is not of the form name=value$/,
  'postgres://db/orders?constructor=1': /^has the parameter constructor, which is unknown$/,
  'postgres://db/orders?__proto__=1': /^has the parameter __proto__, which is unknown$/,
  'postgres://db/orders?scram_client_key=c2Vj': /scram_client_key, which is not supported$/,
  'postgres://db/orders?oauth_issuer=sec': /oauth_issuer, which is not supported$/,
  'postgres://db/orders?sslkeylogfile=sec': /^has the parameter sslkeylogfile, which is not/,
  'postgres://db/orders?sslcertmode=require': /sslcertmode whose value is not supported$/,
  'postgres://db/orders?min_protocol_version=3.2':
    /^has a parameter min_protocol_version whose value is not supported$/,
  'postgres://db/orders?requirepeer=postgres': /^has the parameter requirepeer, which is not/,
  'postgres://db/orders?channel_binding=require': /channel_binding whose value is not supported$/,
  'postgres://db/orders?target_session_attrs=standby': /target_session_attrs whose value is not/,
  'postgres://db/orders?sslrootcert=system&sslmode=require': /which needs sslmode=verify-full$/,
  'postgres://db/orders?sslnegotiation=direct': /which needs sslmode=require or stronger$/,
};

for (const [url, message] of Object.entries(refused)) {
  test(`${url} is refused, and the message repeats no value`, (t) => {
    const error = t.throws(() => readTarget(url), { instanceOf: DatabaseUrlError, message });

    t.notRegex(error?.message ?? '', /sec|ret@|100%/);
  });
}

for (const query of [
  'sslcertmode=allow',
  'gssdelegation=0',
  'min_protocol_version=3.0',
  'max_protocol_version=3.2',
  'max_protocol_version=latest',
]) {
  test(`the parameter ${query} of newer versions of libpq is accepted without an effect`, (t) => {
    t.deepEqual(readTarget(`postgres://db/orders?${query}`), readTarget('postgres://db/orders'));
  });
}

test('the variables of libpq complete a URL, and never replace a part of it', (t) => {
  const env = {
    PGHOST: 'elsewhere',
    PGPORT: '5433',
    PGUSER: 'eve',
    PGPASSWORD: 'from the environment',
    PGDATABASE: 'other',
    PGSSLMODE: 'verify-full',
    PGSSLROOTCERT: '/etc/ca.pem',
    PGAPPNAME: '',
  };

  t.deepEqual(parseUrl(completeUrl('postgres://ada@db/orders', env)), {
    user: 'ada',
    host: 'db',
    dbname: 'orders',
    port: '5433',
    password: 'from the environment',
    sslmode: 'verify-full',
    sslrootcert: '/etc/ca.pem',
  });
  t.like(readTarget(completeUrl('postgres://', env)), {
    hosts: [{ host: 'elsewhere', port: 5433, address: undefined }],
    user: 'eve',
    database: 'other',
  });
});

test('of several hosts without target_session_attrs, the one that accepts writes is used', (t) => {
  t.false(readTarget('postgres://a/orders').mustWrite);
  t.true(readTarget('postgres://a,b/orders').mustWrite);
  t.false(readTarget('postgres://a,b/orders?target_session_attrs=any').mustWrite);
  t.true(readTarget('postgres://a/orders?target_session_attrs=primary').mustWrite);
});

test('a name of a database or a password with odd characters is written and read without a change', (t) => {
  const odd = {
    user: 'a b',
    password: `%/:@?#&='"\\ü+`,
    host: 'db',
    dbname: 'a/b?c',
    options: '+',
  };

  t.deepEqual(parseUrl(formatUrl(odd)), odd);
});
