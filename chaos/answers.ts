import { createConnection, type Socket } from 'node:net';
import { createServer } from 'node:net';
import { setTimeout } from 'node:timers/promises';
import { listen } from '../src/http/server.ts';

/** The proxy between the processes and Postgres. */
export type Answers = {
  port: number;
  /** Forwards statements but drops their answers, then breaks the open connections. */
  lose: (ms: number) => Promise<void>;
  close: () => Promise<void>;
};

/** Opens a port on loopback that forwards to another port. On request it drops answers. */
export async function openAnswers(postgresPort: number): Promise<Answers> {
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

  async function lose(ms: number): Promise<void> {
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
    lose,
    async close() {
      for (const { client } of open) client.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
