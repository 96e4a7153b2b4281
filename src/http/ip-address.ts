import { isIP } from 'node:net';
import ipaddr from 'ipaddr.js';

/** An address in its canonical form. `isMapped`: an IPv4 address that was written inside an IPv6 address. */
export type Address = { family: 'ipv4' | 'ipv6'; text: string; isMapped: boolean };

/** How many bits of an IPv6 address identify a network. A provider gives a customer at least this range (RFC 6177). */
const NETWORK_BITS = 64;

const DOTTED = /^\d{1,3}(?:\.\d{1,3}){3}$/;
const WITH_PORT = /^(?:\[([^\]]*)\]|([\d.]+))(?::\d{1,5})?$/;

/** IPv6 ranges whose last 32 bits are an IPv4 address: mapped (RFC 4291), and translated by NAT64 (RFC 6052). */
const EMBEDDING = [ipaddr.parseCIDR('::ffff:0:0/96'), ipaddr.parseCIDR('64:ff9b::/96')];

/**
 * Reads an address as proxies and sockets write it: with or without a port, brackets, a zone, leading zeros or capital
 * letters. All spellings of one address have one canonical form. Returns null for anything else.
 */
export function canonicalAddress(written: string): Address | null {
  const trimmed = written.trim();
  const [, bracketed, dotted] = WITH_PORT.exec(trimmed) ?? [];
  const text = withoutZeros(bracketed ?? dotted ?? trimmed);
  if (isIP(text) === 0) return null;
  const address = ipaddr.parse(text.replace(/%.*$/, ''));
  if (address.kind() === 'ipv4') return { family: 'ipv4', text, isMapped: false };
  const isMapped = EMBEDDING.some((range) => address.match(range));
  if (!isMapped) return { family: 'ipv6', text: rfc5952(address), isMapped };
  return { family: 'ipv4', text: address.toByteArray().slice(12).join('.'), isMapped };
}

/** The network of an address: an IPv4 address itself, and the first 64 bits of an IPv6 address. */
export function networkOf({ family, text }: Address): string {
  if (family === 'ipv4') return text;
  return `${ipaddr.IPv6.networkAddressFromCIDR(`${text}/${NETWORK_BITS}`).toString()}/${NETWORK_BITS}`;
}

/** Reads 203.000.113.007 as 203.0.113.7, never as octal, so that leading zeros make no second client. */
function withoutZeros(text: string): string {
  return DOTTED.test(text) ? text.split('.').map(Number).join('.') : text;
}

function rfc5952(address: ipaddr.IPv4 | ipaddr.IPv6): string {
  return ipaddr.IPv6.parse(address.toString()).toRFC5952String();
}
