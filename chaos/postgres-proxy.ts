import { createConnection, createServer, type Socket } from 'node:net';
import { setTimeout } from 'node:timers/promises';
import { listen } from '../src/http/server.ts';

/** A TCP proxy between the processes and Postgres. */
export type PostgresProxy = {
  port: number;
  /** Forwards statements for this time, but drops their results. Then breaks the open connections. */
  dropResults: (ms: number) => Promise<void>;
  close: () => Promise<void>;
};

/** Opens a port on loopback that forwards to the port of Postgres. */
export async function openPostgresProxy(postgresPort: number): Promise<PostgresProxy> {
  const open = new Set<{ client: Socket; postgres: Socket }>();
  const server = createServer({ noDelay: true }, (client) => {
    const postgres = createConnection({ host: '127.0.0.1', port: postgresPort, noDelay: true });
    const pair = { client, postgres };
    open.add(pair);
    for (const socket of [client, postgres]) {
      socket.on('error', () => socket.destroy());
      socket.once('close', () => {
        client.destroy();
        postgres.destroy();
        open.delete(pair);
      });
    }
    client.pipe(postgres);
    postgres.pipe(client);
  });
  const port = await listen(server, 0, '127.0.0.1');

  async function dropResults(ms: number): Promise<void> {
    const pairs = [...open];
    for (const { client, postgres } of pairs) {
      postgres.unpipe(client);
      postgres.resume();
    }
    await setTimeout(ms);
    for (const { client } of pairs) client.destroy();
  }

  return {
    port,
    dropResults,
    async close() {
      for (const { client } of open) client.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
