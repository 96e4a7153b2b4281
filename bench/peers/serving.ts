import type { Server } from 'node:http';
import { exitOnFailure, ReadableError, reportReady, stopOnSignal } from '../../src/process.ts';
import { listen } from '../../src/http/server.ts';

const STOP_TIMEOUT_SECONDS = 5;

/** Runs a process of a peer: opens it, reports that it is ready, and closes it on SIGTERM. */
export function runPeer(open: () => Promise<() => Promise<void>>): Promise<void> {
  return exitOnFailure(async () => {
    const close = await open();
    stopOnSignal(close, STOP_TIMEOUT_SECONDS);
    reportReady();
  });
}

/** Listens on the port that the bench has chosen. Returns a function that stops the server. */
export async function listenForBench(server: Server): Promise<() => Promise<void>> {
  await listen(server, Number(process.env.PORT), '127.0.0.1');
  return async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  };
}

/** Reads a setting that the bench gives to every process of a peer. */
export function setting(name: 'DATABASE_URL' | 'REDIS_URL' | 'JWT_SECRET'): string {
  const value = process.env[name];
  if (!value) throw new ReadableError(`${name} is not set`);
  return value;
}
