/*
 * The syntax of DATABASE_URL: a connection URI as libpq reads it
 * (https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING-URIS). `new URL` and the parsers of pg
 * and slonik read neither several hosts nor the directory of a socket with a port.
 */
import { problemWithKeyword } from './keywords.ts';

/** The parameters of a connection, by libpq's keywords. `host` and `port` may be lists, separated by commas. */
export type Parameters = Record<string, string>;

/** A URL that cannot be used. The message follows the name of the setting, and contains no value of the URL. */
export class DatabaseUrlError extends Error {
  override name = 'DatabaseUrlError';
}

const URI = /^postgres(?:ql)?:\/\/([^/?]*)(?:\/([^?]*))?(?:\?(.*))?$/s;
const HOST_AND_PORT = /^(\[[^\]]*\]|[^:[\]]*)(?::(.*))?$/s;

/** Reads the parameters of a connection from its URL. Throws a DatabaseUrlError. */
export function parseUrl(url: string): Parameters {
  const [, authority, path = '', query = ''] = URI.exec(url) ?? [];
  if (authority === undefined) throw new DatabaseUrlError('must be a postgres:// URL');
  const at = authority.indexOf('@');
  const [user = '', ...password] = at < 0 ? [] : authority.slice(0, at).split(':');
  const given = {
    user: decode(user, 'the user'),
    password: decode(password.join(':'), 'the password'),
    ...parseHosts(authority.slice(at + 1)),
    dbname: decode(path, 'the name of the database'),
  };
  const parameters = { ...withoutEmpty(given), ...parseQuery(query) };
  for (const keyword of Object.keys(parameters)) {
    const problem = problemWithKeyword(keyword, parameters[keyword] ?? '');
    if (problem !== undefined) throw new DatabaseUrlError(problem);
  }
  return parameters;
}

function parseHosts(text: string): Parameters {
  const hosts = text.split(',').map((part) => {
    const [, host = '', port = ''] = HOST_AND_PORT.exec(part) ?? [];
    const isRead = HOST_AND_PORT.test(part) && !part.includes('@');
    if (!isRead || !/^\d*$/.test(port)) {
      throw new DatabaseUrlError(
        'has no valid host and port; in a password, write @ as %40, / as %2F and : as %3A',
      );
    }
    return { host: decode(host.replace(/^\[(.*)\]$/, '$1'), 'the host'), port };
  });
  const ports = hosts.map(({ port }) => port);
  return {
    host: hosts.map(({ host }) => host).join(','),
    port: ports.every((port) => port === '') ? '' : ports.join(','),
  };
}

function parseQuery(query: string): Parameters {
  const parameters: Parameters = Object.create(null); // so a parameter __proto__ is seen, and refused
  for (const part of query === '' ? [] : query.split('&')) {
    const [name = '', value, ...more] = part.split('=');
    if (value === undefined || more.length > 0) {
      throw new DatabaseUrlError('has a parameter that is not of the form name=value');
    }
    const keyword = decode(name, 'the name of a parameter');
    // ssl=true is the form of JDBC.
    if (keyword === 'ssl' && value === 'true') parameters.sslmode = 'require';
    else parameters[keyword] = decode(plusToSpace(value), `the parameter ${printable(keyword)}`);
  }
  return parameters;
}

/**
 * For libpq, + is not a space. But URLSearchParams writes spaces as +, also in `options`. A value that begins with
 * `-c+` must come from it, because Postgres has no such option.
 */
function plusToSpace(value: string): string {
  return value.startsWith('-c+') ? value.replaceAll('+', ' ') : value;
}

function decode(text: string, what: string): string {
  try {
    const decoded = decodeURIComponent(text);
    if (!decoded.includes('\0')) return decoded;
  } catch {
    // The error below says what is wrong.
  }
  throw new DatabaseUrlError(`has a % escape that is not valid, in ${what}`);
}

function printable(name: string): string {
  return name.replace(/[^\w.-]/g, '?').slice(0, 40);
}

/** Writes parameters as a URL that `parseUrl` and libpq read as the same parameters. */
export function formatUrl({ user, password, host, port, dbname, ...others }: Parameters): string {
  const login = [user, password].map((part) => encodeURIComponent(part ?? ''));
  const hosts = host?.split(',') ?? [];
  const ports = port?.split(',') ?? [];
  // One port for several hosts is written as a parameter of the query.
  const isList = ports.length === hosts.length;
  const authority = hosts.map(
    (name, i) => formatHost(name) + (isList && ports[i] ? `:${ports[i]}` : ''),
  );
  const query = { ...others, ...(!isList && port !== undefined && { port }) };
  const parts = [
    'postgres://',
    password !== undefined ? `${login.join(':')}@` : user !== undefined ? `${login[0]}@` : '',
    authority.join(','),
    dbname === undefined ? '' : `/${encodeURIComponent(dbname)}`,
    Object.keys(query).length === 0 ? '' : `?${formatQuery(query)}`,
  ];
  return parts.join('');
}

function formatHost(host: string): string {
  // The zone of an IPv6 address follows a %, as in fe80::1%eth0.
  return host.includes(':') ? `[${host.replaceAll('%', '%25')}]` : encodeURIComponent(host);
}

// Not URLSearchParams: it writes a space as +, which libpq does not read as a space.
function formatQuery(query: Parameters): string {
  return Object.entries(query)
    .map((pair) => pair.map(encodeURIComponent).join('='))
    .join('&');
}

function withoutEmpty(parameters: Parameters): Parameters {
  return Object.fromEntries(Object.entries(parameters).filter(([, value]) => value !== ''));
}
