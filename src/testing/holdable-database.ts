import { connect, createServer, type Socket } from 'node:net';
import type { ExecutionContext } from 'ava';
import { listen } from '../http/server.ts';

/** What can be held back: a COMMIT on its way to the database, or the database's word that it is done. */
type Holdable = 'commit' | 'word of commit';

/**
 * A way to Postgres on which one step can be held back for ever, so that a test can kill a process exactly
 * before or after its commit. Everything else passes as it comes.
 */
export async function holdableDatabase(t: ExecutionContext, databaseUrl: string) {
  const url = new URL(databaseUrl);
  const { hostname, port } = url;
  const sockets = new Set<Socket>();
  let holding: Holdable | null = null;
  let held = 0;

  function pass(from: Socket, to: Socket, step: Holdable): void {
    let isHeld = false;
    from.on('data', (chunk) => {
      if (holding === step && chunk.includes('COMMIT\0')) isHeld = true;
      if (isHeld) held += 1;
      else to.write(chunk);
    });
    from.on('error', () => to.destroy());
    from.on('close', () => to.destroy());
    sockets.add(from);
  }

  const server = createServer((client) => {
    const database = connect(Number(port), hostname);
    pass(client, database, 'commit');
    pass(database, client, 'word of commit');
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
