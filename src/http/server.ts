import { createServer, STATUS_CODES, type Server, type ServerResponse } from 'node:http';
import type { Server as NetServer } from 'node:net';
import type { Duplex } from 'node:stream';
import type Koa from 'koa';
import { crashPoint } from '../crash-point.ts';
import type { AppState } from './request-log.ts';

const PROBLEM_TYPE = 'application/problem+json';

/** The requests in hand of each server, by their responses. */
const inHand = new WeakMap<Server, Set<ServerResponse>>();

/** Starts serving an application. Rejects when the port is taken. */
export async function serve(app: Koa<AppState>, port: number, host: string): Promise<Server> {
  const handle = app.callback();
  const responses = new Set<ServerResponse>();
  const forget = function (this: ServerResponse) {
    responses.delete(this);
    crashPoint('after-answer'); // in the middle of a batch: others of it have none yet
  };
  const server = createServer({ requireHostHeader: false }, (req, res) => {
    responses.add(res);
    res.on('close', forget);
    if (!server.listening) makeLast(res);
    // Koa cannot even look at a target that is no address, and Node would let no host through.
    if (!isAddress(req.url ?? '') || req.headers.host === undefined) answer(res, 400);
    else void handle(req, res); // Koa handles what is thrown
  });
  server.on('checkExpectation', (_req, res: ServerResponse) => answer(res, 417));
  inHand.set(server, responses);
  server.on('clientError', answerMalformed);
  await listen(server, port, host);
  return server;
}

/** Nearly every target is a plain path, and need not be parsed to be known for an address. */
function isAddress(target: string): boolean {
  return /^\/(?!\/)[\w/-]*$/.test(target) || URL.canParse(target, 'http://host');
}

/** Starts listening, and resolves with the port once it does; port 0 picks a free one. */
export async function listen(server: NetServer, port: number, host: string): Promise<number> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, () => resolve());
  });
  return portOf(server);
}

/** The port that a server listens on. */
export function portOf(server: NetServer): number {
  const address = server.address();
  return typeof address === 'object' && address !== null ? address.port : 0;
}

/** Stops accepting, lets the requests in hand finish, and gives up on the rest at the timeout. */
export async function closeServer(server: Server, timeoutSeconds: number): Promise<void> {
  const timer = setTimeout(() => server.closeAllConnections(), timeoutSeconds * 1000);
  await new Promise<void>((resolve) => {
    server.close(() => resolve());
    for (const response of inHand.get(server) ?? []) makeLast(response);
    server.closeIdleConnections();
  });
  clearTimeout(timer);
}

// A client that sends one request after another on a connection would otherwise keep it, and with it
// us, to the timeout: Node closes connections that are idle, and goes on serving those that are not.
function makeLast(response: ServerResponse): void {
  if (!response.headersSent) response.setHeader('Connection', 'close');
}

const malformed: Record<string, number> = {
  HPE_HEADER_OVERFLOW: 431,
  ERR_HTTP_REQUEST_TIMEOUT: 408,
};

// Bytes that are not HTTP never reach Koa; they too are answered as a problem.
function answerMalformed(error: Error & { code?: string }, socket: Duplex): void {
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

function answer(response: ServerResponse, status: number): void {
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
