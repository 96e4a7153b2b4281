/*
 * A proxy to Postgres that stalls the statement that places orders, or its answer. So a test can kill a process
 * just before or just after the commit, which is part of the statement.
 */
import type { ExecutionContext } from 'ava';
import { openDatabaseProxy } from './database-proxy.ts';

/** The message that the proxy stops. */
type Step = 'statement' | 'answer';

/** Part of the statement's text, or of the name under which it is prepared. */
const PLACES_ORDERS = /place[-_]orders/;

/**
 * Opens the proxy. After `stall(step)`, each connection that places orders is stopped at this step for ever. All other
 * messages pass unchanged.
 */
export async function stallingDatabase(t: ExecutionContext, databaseUrl: string) {
  let stallAt: Step | null = null;
  let stalled = 0;

  const { port, close } = await openDatabaseProxy(databaseUrl, () => {
    let stalledAt: Step | null = null;
    const pass = (step: Step) => {
      if (stalledAt === step) stalled += 1;
      return stalledAt !== step;
    };
    return {
      fromClient(chunk) {
        if (PLACES_ORDERS.test(chunk.toString('latin1'))) stalledAt ??= stallAt;
        return pass('statement');
      },
      fromDatabase: () => pass('answer'),
    };
  });
  t.teardown(close);
  const url = new URL(databaseUrl);
  url.host = `127.0.0.1:${port}`;
  return {
    url: url.href,
    stall: (step: Step) => (stallAt = step),
    isStalled: () => stalled > 0,
  };
}
