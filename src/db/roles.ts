import { formatUrl, parseUrl } from './connection/url.ts';

/** The roles of processes. sql/grants.sql lists the rights of each. */
export type ServiceRole = 'oms_owner' | 'oms_queue' | 'oms_api' | 'oms_worker';

/** The roles that can have a password: those of processes, and the role of DBAs. */
export type LoginRole = ServiceRole | 'oms_dba';

/** The URL with an option that sets the role, after other options. The URL's user must be a member of the role. */
export function asRole(databaseUrl: string, role: ServiceRole): string {
  const parameters = parseUrl(databaseUrl);
  const options = [parameters.options, `-c role=${role}`].filter(Boolean).join(' ');
  return formatUrl({ ...parameters, options });
}

/** The URL for a service: with the login of its role, or with SET ROLE when there is no password. */
export function serviceUrl(databaseUrl: string, role: ServiceRole, password?: string): string {
  return password === undefined ? asRole(databaseUrl, role) : loginUrl(databaseUrl, role, password);
}

/** The URL with the login of a role. */
export function loginUrl(databaseUrl: string, role: LoginRole, password: string): string {
  return formatUrl({ ...parseUrl(databaseUrl), user: role, password });
}
