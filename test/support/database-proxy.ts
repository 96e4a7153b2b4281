/*
 * A TCP proxy between clients and Postgres, for tests and chaos that look at the messages or keep them back.
 */
import { connect, createServer, type Socket } from 'node:net';
import { listen } from '../../src/http/server.ts';

/** What happens to each chunk of one connection, in each direction: it passes when the function returns true. */
type Filters = {
  fromClient?: (chunk: Buffer) => boolean;
  fromDatabase?: (chunk: Buffer) => boolean;
};

/** An open proxy. */
type DatabaseProxy = {
  port: number;
  /** Breaks the connections that are open now. */
  breakConnections: () => void;
  close: () => Promise<void>;
};

/** Opens a port on loopback that forwards to the Postgres of a URL. Asks for the filters of each new connection. */
export async function openDatabaseProxy(
  databaseUrl: string,
  filter: () => Filters,
): Promise<DatabaseProxy> {
  const { hostname, port } = new URL(databaseUrl);
  const clients = new Set<Socket>();
  const server = createServer({ noDelay: true }, (client) => {
    const database = connect({ host: hostname, port: Number(port), noDelay: true });
    const { fromClient = passes, fromDatabase = passes } = filter();
    clients.add(client);
    forward(client, database, fromClient);
    forward(database, client, fromDatabase);
    client.once('close', () => clients.delete(client));
  });

  function breakConnections(): void {
    for (const client of clients) client.destroy();
  }

  return {
    port: await listen(server, 0, '127.0.0.1'),
    breakConnections,
    async close() {
      breakConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

function passes(): boolean {
  return true;
}

function forward(from: Socket, to: Socket, filter: (chunk: Buffer) => boolean): void {
  from.on('data', (chunk: Buffer) => {
    if (filter(chunk)) to.write(chunk);
  });
  from.on('error', () => from.destroy());
  from.once('close', () => to.destroy());
}
