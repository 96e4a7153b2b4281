import type { Server } from 'node:http';
import type { Socket } from 'node:net';
import type { ServerSettings } from '../config.ts';
import { proxyTest } from './client-address.ts';
import { canonicalAddress, networkOf } from './ip-address.ts';
import { refuseConnection } from './malformed.ts';

const RETRY_AFTER = 'Retry-After: 1\r\n';

/**
 * Refuses connections over the limits with 503: one limit for all connections together, and one for those of each
 * network. Trusted proxies count only for the first, because many clients connect through one proxy.
 */
export function limitConnections(server: Server, settings: ServerSettings): void {
  const isTrusted = proxyTest(settings.TRUSTED_PROXIES);
  const byNetwork = new Map<string, number>();
  let total = 0;

  server.on('connection', (socket: Socket) => {
    const address = canonicalAddress(socket.remoteAddress ?? '');
    const network = address && !isTrusted(address) ? networkOf(address) : undefined;
    const ofNetwork = network === undefined ? 0 : (byNetwork.get(network) ?? 0);
    const isTooMany =
      total >= settings.CONNECTIONS_MAX || ofNetwork >= settings.CONNECTIONS_PER_CLIENT_MAX;
    if (isTooMany) {
      refuseConnection(socket, 503, RETRY_AFTER);
      return;
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
  });
}
