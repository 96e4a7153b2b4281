import { setTimeout } from 'node:timers/promises';
import { openDatabaseProxy } from '../test/support/database-proxy.ts';

/** A TCP proxy between the processes and Postgres. */
export type PostgresProxy = {
  port: number;
  /**
   * For this time, drops the results of the connections that are open now, and still forwards their statements. Then
   * breaks every open connection.
   */
  dropResults: (ms: number) => Promise<void>;
  close: () => Promise<void>;
};

/** Opens a port on loopback that forwards to Postgres. */
export async function openPostgresProxy(postgresUrl: string): Promise<PostgresProxy> {
  let opened = 0;
  let droppedUpTo = 0; // the number of the last connection whose results are dropped
  const { port, breakConnections, close } = await openDatabaseProxy(postgresUrl, () => {
    opened += 1;
    const connection = opened;
    return { fromDatabase: () => connection > droppedUpTo };
  });

  async function dropResults(ms: number): Promise<void> {
    droppedUpTo = opened;
    await setTimeout(ms);
    breakConnections();
  }

  return { port, dropResults, close };
}
