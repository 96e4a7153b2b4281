import type { Socket } from 'node:net';
import type { ServerSettings } from '../config.ts';
import { proxyTest } from './client-address.ts';
import { canonicalAddress, networkOf } from './ip-address.ts';
import { refuseConnection } from './malformed.ts';

const RETRY_AFTER = 'Retry-After: 1\r\n';

/**
 * Returns a function that counts a new connection, and refuses it with 503 and returns false when it is over a limit:
 * one for all connections together, and one for those of each network. Trusted proxies count only for the first,
 * because many clients connect through one proxy.
 */
export function connectionLimits(settings: ServerSettings): (socket: Socket) => boolean {
  const isTrusted = proxyTest(settings.TRUSTED_PROXIES);
  const byNetwork = new Map<string, number>();
  let total = 0;

  return (socket) => {
    const address = canonicalAddress(socket.remoteAddress ?? '');
    const network = address && !isTrusted(address) ? networkOf(address) : undefined;
    const ofNetwork = network === undefined ? 0 : (byNetwork.get(network) ?? 0);
    const isTooMany =
      total >= settings.CONNECTIONS_MAX || ofNetwork >= settings.CONNECTIONS_PER_CLIENT_MAX;
    if (isTooMany) {
      refuseConnection(socket, 503, RETRY_AFTER);
      return false;
    }
    total += 1;
    if (network !== undefined) byNetwork.set(network, ofNetwork + 1);
    socket.on('close', () => {
      total -= 1;
      if (network === undefined) return;
      const left = (byNetwork.get(network) ?? 1) - 1;
      if (left > 0) byNetwork.set(network, left);
      else byNetwork.delete(network);
    });
    return true;
  };
}
