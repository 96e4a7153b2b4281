import { randomInt } from 'node:crypto';
import { createServer } from 'node:net';
import { listen } from '../http/server.ts';
import { ReadableError } from '../process.ts';

/**
 * The range in which to look for a free port. The system assigns ports from 32768 on to outgoing connections, so a free
 * port there may be taken at any moment.
 */
const PORTS = { from: 20_000, to: 32_000 };
const TRIES = 20;

/** Finds a free port of the loopback interface. */
export async function freePort(): Promise<number> {
  for (let tries = 0; tries < TRIES; tries += 1) {
    const port = randomInt(PORTS.from, PORTS.to);
    if (await isFree(port)) return port;
  }
  throw new ReadableError(`No free port was found between ${PORTS.from} and ${PORTS.to}`);
}

/** Rejects with the error of the system when a port cannot be listened on. */
export async function requireFreePort(port: number, host: string): Promise<void> {
  const server = createServer();
  await listen(server, port, host);
  await new Promise<void>((resolve) => server.close(() => resolve()));
}

async function isFree(port: number): Promise<boolean> {
  try {
    await requireFreePort(port, '127.0.0.1');
    return true;
  } catch {
    return false;
  }
}
