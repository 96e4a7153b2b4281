/*
 * The keywords of a connection, as in libpq. Each is used, has no effect here, or is refused, also when it is not in
 * this list: a keyword that asks for safety must never be ignored.
 */

type Keyword =
  /** Used. The value must match the pattern. */
  | RegExp
  /** Accepted without an effect. */
  | 'no effect'
  /** Refused, because the service cannot do what it asks for. */
  | 'not supported';

const NUMBER = /^-?\d{1,9}$/;
const ANY = /^/;

const KEYWORDS: Record<string, Keyword> = {
  host: ANY,
  hostaddr: ANY,
  port: /^[\d,]*$/,
  dbname: ANY,
  user: ANY,
  password: ANY,
  passfile: ANY,
  options: ANY,
  application_name: ANY,
  fallback_application_name: ANY,
  connect_timeout: NUMBER,
  // A service that writes has no use for read-only, standby and prefer-standby.
  target_session_attrs: /^(any|read-write|primary)$/,
  load_balance_hosts: /^(disable|random)$/,
  sslmode: /^(disable|allow|prefer|require|verify-ca|verify-full)$/,
  sslrootcert: ANY,
  sslcert: ANY,
  sslkey: ANY,
  sslpassword: ANY,
  sslnegotiation: /^(postgres|direct)$/,
  ssl_min_protocol_version: /^TLSv1(\.[123])?$/,
  ssl_max_protocol_version: /^TLSv1(\.[123])?$/,
  channel_binding: /^(disable|prefer)$/,
  gssencmode: /^(disable|prefer)$/,
  client_encoding: /^(auto|utf-?8)$/i,
  keepalives: 'no effect', // always on
  keepalives_idle: 'no effect',
  keepalives_interval: 'no effect',
  keepalives_count: 'no effect',
  tcp_user_timeout: 'no effect',
  sslcompression: 'no effect',
  sslsni: 'no effect',
  krbsrvname: 'no effect',
  gsslib: 'no effect',
  gssdelegation: 'no effect', // GSSAPI is never used
  // The driver speaks protocol 3.0, and no server is asked for more.
  min_protocol_version: /^3\.0$/,
  max_protocol_version: /^(3\.[02]|latest)$/,
  sslcrl: 'not supported',
  sslcrldir: 'not supported',
  sslcertmode: /^allow$/, // the default: the certificate is sent when there is one
  sslkeylogfile: 'not supported',
  requirepeer: 'not supported',
  require_auth: 'not supported',
  scram_client_key: 'not supported',
  scram_server_key: 'not supported',
  oauth_issuer: 'not supported',
  oauth_client_id: 'not supported',
  oauth_client_secret: 'not supported',
  oauth_scope: 'not supported',
  replication: 'not supported',
  service: 'not supported',
  servicefile: 'not supported',
};

/** Why a parameter cannot be used, or undefined. The text follows the name of the setting, and contains no value. */
export function problemWithKeyword(keyword: string, value: string): string | undefined {
  const kind = Object.hasOwn(KEYWORDS, keyword) ? KEYWORDS[keyword] : undefined;
  if (kind === undefined) {
    return `has the parameter ${keyword.replace(/[^\w.-]/g, '?').slice(0, 40)}, which is unknown`;
  }
  if (kind === 'not supported') return `has the parameter ${keyword}, which is not supported`;
  if (kind === 'no effect' || kind.test(value)) return undefined;
  return `has a parameter ${keyword} whose value is not supported`;
}

/**
 * The variables of libpq, and the keyword that each sets when the URL leaves it out
 * (https://www.postgresql.org/docs/current/libpq-envars.html).
 */
export const PG_VARIABLES: Readonly<Record<string, string>> = {
  PGHOST: 'host',
  PGHOSTADDR: 'hostaddr',
  PGPORT: 'port',
  PGDATABASE: 'dbname',
  PGUSER: 'user',
  PGPASSWORD: 'password',
  PGPASSFILE: 'passfile',
  PGOPTIONS: 'options',
  PGAPPNAME: 'application_name',
  PGCONNECT_TIMEOUT: 'connect_timeout',
  PGTARGETSESSIONATTRS: 'target_session_attrs',
  PGLOADBALANCEHOSTS: 'load_balance_hosts',
  PGSSLMODE: 'sslmode',
  PGSSLROOTCERT: 'sslrootcert',
  PGSSLCERT: 'sslcert',
  PGSSLKEY: 'sslkey',
  PGSSLNEGOTIATION: 'sslnegotiation',
  PGSSLMINPROTOCOLVERSION: 'ssl_min_protocol_version',
  PGSSLMAXPROTOCOLVERSION: 'ssl_max_protocol_version',
  PGSSLCRL: 'sslcrl',
  PGSSLCRLDIR: 'sslcrldir',
  PGSSLCERTMODE: 'sslcertmode',
  PGCHANNELBINDING: 'channel_binding',
  PGGSSENCMODE: 'gssencmode',
  PGMINPROTOCOLVERSION: 'min_protocol_version',
  PGMAXPROTOCOLVERSION: 'max_protocol_version',
  PGREQUIREAUTH: 'require_auth',
  PGREQUIREPEER: 'requirepeer',
  PGSERVICE: 'service',
};
