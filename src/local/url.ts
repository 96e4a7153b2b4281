import { isIPv6 } from 'node:net';

/** Addresses to listen on that are no address for a client, and the address by which this machine reaches them. */
const REACHED_BY: Record<string, string> = { '0.0.0.0': '127.0.0.1', '::': '::1' };

/** The URL of a server that listens on this address and port, for clients on this machine. */
export function urlOf(host: string, port: number): string {
  const address = REACHED_BY[host] ?? host;
  // RFC 6874: % begins an escape in a URL, so the zone of a link-local address is escaped.
  const name = isIPv6(address) ? `[${address.replace('%', '%25')}]` : address;
  return `http://${name}:${port}`;
}
