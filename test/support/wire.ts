/*
 * Counts the messages between a client and Postgres, so a test can say how many round trips a step takes.
 */
import type { ExecutionContext } from 'ava';
import { openDatabaseProxy } from './database-proxy.ts';

/** Counts of messages to Postgres: round trips, parsed statements and bound statements. */
type Traffic = { trips: number; parses: number; binds: number };

/** A proxy to Postgres that counts messages. */
export type Wire = {
  url: string;
  /** Runs a step. Returns the counts of its messages, over all connections. */
  during: (step: () => Promise<unknown>) => Promise<Traffic>;
};

/** The counted messages of the client: Query, Sync, Parse, Bind. The client waits for the answer to Query and Sync. */
const COUNTED: Record<string, keyof Traffic> = { Q: 'trips', S: 'trips', P: 'parses', B: 'binds' };

/** Opens a proxy to Postgres that counts messages, until the test ends. */
export async function openWire(t: ExecutionContext, databaseUrl: string): Promise<Wire> {
  const url = new URL(databaseUrl);
  const total: Traffic = { trips: 0, parses: 0, binds: 0 };
  const { port, close } = await openDatabaseProxy(databaseUrl, () => {
    const count = createCounter(total);
    return {
      fromClient(chunk) {
        count(chunk);
        return true;
      },
    };
  });
  t.teardown(close);
  url.host = `127.0.0.1:${port}`;
  return {
    url: url.href,
    async during(step) {
      const before = { ...total };
      await step();
      return {
        trips: total.trips - before.trips,
        parses: total.parses - before.parses,
        binds: total.binds - before.binds,
      };
    },
  };
}

/**
 * Counts the messages of one connection. The first message has a length and no type. Each later one has a type of one
 * byte, and a length that includes itself.
 */
function createCounter(total: Traffic): (chunk: Buffer) => void {
  let rest = Buffer.alloc(0);
  let hasStarted = false;
  return (chunk) => {
    rest = Buffer.concat([rest, chunk]);
    for (;;) {
      const typeLength = hasStarted ? 1 : 0;
      if (rest.length < typeLength + 4) return;
      const end = typeLength + rest.readInt32BE(typeLength);
      if (rest.length < end) return;
      const counted = hasStarted ? COUNTED[rest.toString('latin1', 0, 1)] : undefined;
      if (counted) total[counted] += 1;
      hasStarted = true;
      rest = rest.subarray(end);
    }
  };
}
