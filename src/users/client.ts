import { isIP } from 'node:net';
import type { ParameterizedContext } from 'koa';
import type { AppState } from '../http/state.ts';
import type { Caller } from './fair-queue.ts';

/** The client of a session, as it is stored and listed, so that the user recognises the session. */
export type ClientDescription = { address: string | null; user_agent: string | null };

const USER_AGENT_LENGTH_MAX = 200;

/** Describes the client of a request. With the session, only the network of the address is stored: /24 or /64. */
export function describeClient(ctx: { ip: string; get: (name: string) => string }) {
  const [address = ''] = ctx.ip.split('%'); // without the zone of a link-local address
  const userAgent = ctx
    .get('User-Agent')
    .replaceAll(/[^\x20-\x7e]/g, '?')
    .trim();
  return {
    address: isIP(address) ? address : null,
    user_agent: userAgent.slice(0, USER_AGENT_LENGTH_MAX) || null,
  } satisfies ClientDescription;
}

/** The caller in the queue of password hashing. */
export function callerOf({ state, res }: ParameterizedContext<AppState>): Caller {
  return { network: state.network, response: res };
}
