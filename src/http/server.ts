import { createServer, STATUS_CODES } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Server as NetServer } from 'node:net';
import type { Duplex } from 'node:stream';
import { setTimeout } from 'node:timers/promises';
import type Koa from 'koa';
import { crashPoint } from '../crash-point.ts';
import type { AppState } from './state.ts';

const PROBLEM_TYPE = 'application/problem+json';

/** The responses of each server that are not finished, and whether further ones end their connections. */
const states = new WeakMap<Server, { responses: Set<ServerResponse>; isStopping: boolean }>();

/** Starts an HTTP server for an application. Rejects when the port is in use. */
export async function serve(app: Koa<AppState>, port: number, host: string): Promise<Server> {
  const handle = app.callback();
  const responses = new Set<ServerResponse>();
  const state = { responses, isStopping: false };
  const forget = function (this: ServerResponse) {
    responses.delete(this);
    crashPoint('after-reply'); // other requests of the same batch may have no reply yet
  };
  const server = createServer({ requireHostHeader: false }, (req, res) => {
    responses.add(res);
    res.on('close', forget);
    if (state.isStopping) makeLast(res);
    // Both are refused here: Koa throws on a bad target, and Node refuses a missing Host without problem details.
    if (!isUrl(req.url ?? '') || !hasHost(req)) refuse(res, 400);
    else void handle(req, res); // Koa handles its errors
  });
  server.on('checkExpectation', (_req, res: ServerResponse) => refuse(res, 417));
  states.set(server, state);
  server.on('clientError', refuseMalformed);
  await listen(server, port, host);
  return server;
}

/** HTTP/1.0 does not require a Host: the checks of HAProxy have none. */
function hasHost({ headers, httpVersionMinor }: IncomingMessage): boolean {
  return headers.host !== undefined || httpVersionMinor === 0;
}

/** Tests for a plain path first: nearly every target is one, and the test costs less than parsing. */
function isUrl(target: string): boolean {
  return /^\/(?!\/)[\w/-]*$/.test(target) || URL.canParse(target, 'http://host');
}

/** Starts listening. Resolves with the port; port 0 picks a free one. */
export async function listen(server: NetServer, port: number, host: string): Promise<number> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, () => resolve());
  });
  return portOf(server);
}

/** Returns the port that a server listens on. */
export function portOf(server: NetServer): number {
  const address = server.address();
  return typeof address === 'object' && address !== null ? address.port : 0;
}

/**
 * Goes on serving for some time, and ends each connection with its next reply. Meanwhile, load balancers notice that
 * the process is not ready, and clients move to other processes.
 */
export async function drainServer(server: Server, seconds: number): Promise<void> {
  endConnections(server);
  if (seconds > 0) await setTimeout(seconds * 1000);
}

/** Accepts no more connections, waits for the requests in progress, and at the timeout closes all connections. */
export async function closeServer(server: Server, timeoutSeconds: number): Promise<void> {
  const timer = globalThis.setTimeout(() => server.closeAllConnections(), timeoutSeconds * 1000);
  await new Promise<void>((resolve) => {
    server.close(() => resolve());
    endConnections(server);
    server.closeIdleConnections();
  });
  clearTimeout(timer);
}

/** Makes the open responses, and all later ones, the last ones of their connections. */
function endConnections(server: Server): void {
  const state = states.get(server);
  if (!state) return;
  state.isStopping = true;
  for (const response of state.responses) makeLast(response);
}

// Without this, a client that sends one request after another on its connection would delay the close until the
// timeout: Node closes only idle connections.
function makeLast(response: ServerResponse): void {
  if (!response.headersSent) response.setHeader('Connection', 'close');
}

const malformed: Record<string, number> = {
  HPE_HEADER_OVERFLOW: 431,
  ERR_HTTP_REQUEST_TIMEOUT: 408,
};

// Node calls this, with only the socket, when a request is not valid HTTP, has too large a header, or comes too slowly.
function refuseMalformed(error: Error & { code?: string }, socket: Duplex): void {
  if (!socket.writable || error.code === 'ECONNRESET') {
    socket.destroy();
    return;
  }
  const status = malformed[error.code ?? ''] ?? 400;
  const body = problemBody(status);
  socket.end(
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\nContent-Type: ${PROBLEM_TYPE}\r\n` +
      `Content-Length: ${body.length}\r\nConnection: close\r\n\r\n${body}`,
  );
}

/** Replies with a problem, without Koa. */
function refuse(response: ServerResponse, status: number): void {
  const body = problemBody(status);
  response.writeHead(status, {
    'Content-Type': PROBLEM_TYPE,
    'Content-Length': body.length,
    Connection: 'close',
  });
  response.end(body);
}

function problemBody(status: number): string {
  return JSON.stringify({ type: 'about:blank', title: STATUS_CODES[status], status });
}
