/*
 * A proxy to Postgres that stalls the statement that places orders, or its answer. So a test can kill a process
 * just before or just after the commit, which is part of the statement.
 */
import { connect, createServer, type Socket } from 'node:net';
import type { ExecutionContext } from 'ava';
import { listen } from '../../src/http/server.ts';

/** The message that the proxy stops. */
type Step = 'statement' | 'answer';

/** Part of the statement's text, or of the name under which it is prepared. */
const PLACES_ORDERS = /place[-_]orders/;

/**
 * Opens the proxy. After `stall(step)`, the next connection that places orders is stopped at this step for ever. All
 * other messages pass unchanged.
 */
export async function stallingDatabase(t: ExecutionContext, databaseUrl: string) {
  const url = new URL(databaseUrl);
  const { hostname, port } = url;
  const sockets = new Set<Socket>();
  let stallAt: Step | null = null;
  let stalled = 0;

  const server = createServer((client) => {
    const database = connect(Number(port), hostname);
    let stalledAt: Step | null = null;
    const pass = (from: Socket, to: Socket, step: Step) => {
      from.on('data', (chunk) => {
        if (step === 'statement' && PLACES_ORDERS.test(chunk.toString('latin1')))
          stalledAt ??= stallAt;
        if (stalledAt === step) stalled += 1;
        else to.write(chunk);
      });
      from.on('error', () => to.destroy());
      from.on('close', () => to.destroy());
      sockets.add(from);
    };
    pass(client, database, 'statement');
    pass(database, client, 'answer');
  });
  url.host = `127.0.0.1:${await listen(server, 0, '127.0.0.1')}`;
  t.teardown(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  return {
    url: url.href,
    stall: (step: Step) => (stallAt = step),
    isStalled: () => stalled > 0,
  };
}
