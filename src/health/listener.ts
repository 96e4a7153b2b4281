import type { Server } from 'node:http';
import { createInternalApp } from '../app.ts';
import type { Deps } from '../deps.ts';
import { closeServer, portOf, serve } from '../http/server.ts';
import type { Health } from './health.ts';

/** How long requests in progress may still take when the process ends. */
const CLOSE_TIMEOUT_SECONDS = 1;

/** Serves health and metrics on METRICS_PORT, for operators. Without METRICS_PORT, returns null. */
export async function serveInternal(deps: Deps & { health: Health }): Promise<Server | null> {
  const { METRICS_PORT, METRICS_HOST } = deps.config;
  if (METRICS_PORT === undefined) return null;
  const server = await serve(createInternalApp(deps), METRICS_PORT, METRICS_HOST, deps.config);
  deps.log.info({ metrics_port: portOf(server), host: METRICS_HOST }, 'metrics served');
  return server;
}

/** Closes the server of serveInternal, if there is one. */
export async function closeInternal(server: Server | null): Promise<void> {
  if (server) await closeServer(server, CLOSE_TIMEOUT_SECONDS);
}
