/*
 * Finds the address of a client. Limits, the log and the queue of password hashing know a client by this address.
 *
 * The address is that of the connection. If that is a trusted proxy, X-Forwarded-For is read from right to left, past
 * the trusted proxies. An entry that is not an address ends the search: then the last proxy counts as the client,
 * because a client can have written this entry and everything before it. The Forwarded header (RFC 7239) is never read:
 * most proxies pass it on unchanged, so a client could choose its address with this header.
 */
import { BlockList } from 'node:net';
import { LRUCache } from 'lru-cache';
import type { Middleware } from 'koa';
import { canonicalAddress, networkOf, type Address } from './ip-address.ts';
import type { AppState } from './state.ts';

/** `address` identifies a client in the log. `network` is the unit that limits count. */
type Client = { address: string; network: string };

/** All clients whose connection has closed already: their addresses cannot be read any more. */
const UNKNOWN: Client = { address: '', network: '0.0.0.0' };

/** How many parsed addresses a process keeps, and how long their texts may be. Together they take at most 2 MB. */
const PARSED_MAX = 10_000;
const PARSED_CHARACTERS_MAX = 100;

/** Sets the address of the client (`ctx.ip`) and its network (`ctx.state.network`). */
export function clientAddress(trustedProxies: string[]): Middleware<AppState> {
  const clientOf = clientReader(trustedProxies);
  const parsed = new LRUCache<string, Client>({ max: PARSED_MAX });
  return (ctx, next) => {
    const peer = ctx.req.socket.remoteAddress ?? '';
    const forwarded = trustedProxies.length > 0 && ctx.req.headers['x-forwarded-for'];
    const text = forwarded ? `${peer},${String(forwarded)}` : peer;
    let client = parsed.get(text);
    if (!client) {
      client = clientOf(peer, forwarded ? String(forwarded) : '');
      if (text.length <= PARSED_CHARACTERS_MAX) parsed.set(text, client);
    }
    ctx.request.ip = client.address;
    ctx.state.network = client.network;
    return next();
  };
}

/** Returns a function that finds the client from the address of a connection and its X-Forwarded-For. */
export function clientReader(trustedProxies: string[]) {
  const isTrusted = proxyTest(trustedProxies);
  return (peer: string, forwardedFor: string): Client => {
    let client = canonicalAddress(peer);
    if (!client) return UNKNOWN;
    const hops = forwardedFor.split(',');
    while (hops.length > 0 && isTrusted(client)) {
      const hop = canonicalAddress(hops.pop() ?? '');
      if (!hop) break;
      client = hop;
    }
    return { address: client.text, network: networkOf(client) };
  };
}

/** Returns a function that tests whether an address is one of the proxies, or in one of their ranges. */
export function proxyTest(proxies: string[]): (address: Address) => boolean {
  const trusted = new BlockList();
  for (const proxy of proxies) {
    const [text = '', bits] = proxy.split('/');
    const address = canonicalAddress(text);
    if (!address) continue; // the setting accepts only addresses and ranges
    const mappedBits = address.isMapped ? 96 : 0; // ::ffff:10.0.0.0/104 is 10.0.0.0/8
    if (bits === undefined) trusted.addAddress(address.text, address.family);
    else trusted.addSubnet(address.text, Math.max(Number(bits) - mappedBits, 0), address.family);
  }
  return ({ text, family }) => trusted.check(text, family);
}
