/*
 * A proxy to Postgres that holds back the statement that places orders, or its answer. So a test can kill a process
 * just before or just after the commit, which is part of the statement.
 */
import { connect, createServer, type Socket } from 'node:net';
import type { ExecutionContext } from 'ava';
import { listen } from '../../src/http/server.ts';

/** The message that the proxy holds back. */
type Holdable = 'statement' | 'answer';

/** Part of the statement's text, or of the name under which it is prepared. */
const PLACES_ORDERS = /place[-_]orders/;

/**
 * Opens the proxy. After `hold(step)`, the next connection that places orders is stopped at this step for ever. All
 * other messages pass unchanged.
 */
export async function holdableDatabase(t: ExecutionContext, databaseUrl: string) {
  const url = new URL(databaseUrl);
  const { hostname, port } = url;
  const sockets = new Set<Socket>();
  let holding: Holdable | null = null;
  let held = 0;

  const server = createServer((client) => {
    const database = connect(Number(port), hostname);
    let isHeld: Holdable | null = null;
    const pass = (from: Socket, to: Socket, step: Holdable) => {
      from.on('data', (chunk) => {
        if (step === 'statement' && PLACES_ORDERS.test(chunk.toString('latin1')))
          isHeld ??= holding;
        if (isHeld === step) held += 1;
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
    hold: (step: Holdable) => (holding = step),
    isHeld: () => held > 0,
  };
}
