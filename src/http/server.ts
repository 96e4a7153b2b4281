import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Server as NetServer, Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { setTimeout } from 'node:timers/promises';
import type Koa from 'koa';
import { ServerSettings } from '../config.ts';
import { crashPoint } from '../crash-point.ts';
import { ClientGone } from './client-gone.ts';
import { CompactMessage } from './compact-message.ts';
import { connectionLimits } from './connection-limits.ts';
import { Connection } from './connection.ts';
import { CHECK_MS, checkDeadlines } from './deadline.ts';
import { problemBody, PROBLEM_TYPE } from './malformed.ts';
import type { MalformedRequest } from './malformed.ts';
import { refusalOfHead } from './request-head.ts';
import { BoundedResponse } from './response.ts';
import type { AppState } from './state.ts';

/** How long a client may take to send the head of a request, and the whole request. */
const HEAD_MS_MAX = 10_000;
const REQUEST_MS_MAX = 30_000;

/** The unfinished responses of a server, and whether each further response ends its connection. */
type ServerState = { responses: Set<BoundedResponse>; isStopping: boolean };
const states = new WeakMap<Server, ServerState>();

/** Starts an HTTP server for an application. Rejects when the port is in use. */
export async function serve(
  app: Koa<AppState>,
  port: number,
  host: string,
  given: Partial<ServerSettings> = {},
): Promise<Server> {
  const settings = { ...ServerSettings.parse({}), ...given };
  const state: ServerState = { responses: new Set(), isStopping: false };
  const server = createBoundedServer(settings);
  states.set(server, state);
  handleRequests(server, state, { admit: connectionLimits(settings), handle: app.callback() });
  const timer = setInterval(() => {
    checkDeadlines(state.responses, settings.REQUEST_TIMEOUT_SECONDS);
  }, CHECK_MS);
  server.on('close', () => clearInterval(timer));
  await listen(server, port, host);
  return server;
}

function createBoundedServer({ KEEP_ALIVE_SECONDS }: ServerSettings): Server {
  return createServer<typeof IncomingMessage, typeof BoundedResponse>({
    requireHostHeader: false, // refusalOfHead refuses a missing Host, so that the reply has problem details
    IncomingMessage: CompactMessage,
    ServerResponse: BoundedResponse,
    headersTimeout: HEAD_MS_MAX,
    requestTimeout: REQUEST_MS_MAX,
    connectionsCheckingInterval: CHECK_MS,
    keepAliveTimeout: KEEP_ALIVE_SECONDS * 1000,
  });
}

type Handlers = {
  admit: (socket: Socket) => boolean;
  handle: (req: IncomingMessage, res: ServerResponse) => Promise<void>;
};

/** Hands the requests of each admitted connection to the application, one after the other. */
function handleRequests(server: Server, state: ServerState, { admit, handle }: Handlers): void {
  const connections = new WeakMap<Duplex, Connection>();
  const forget = function (this: BoundedResponse) {
    state.responses.delete(this);
    if (!this.writableFinished) this.fail?.(new ClientGone()); // ends the request even if its work hangs
    connections.get(this.req.socket)?.next(this);
    crashPoint('after-reply'); // other requests of the same batch may have no reply yet
  };
  const start = (req: IncomingMessage, res: BoundedResponse) => {
    state.responses.add(res);
    res.on('close', forget);
    if (state.isStopping || req.headers.upgrade !== undefined) makeLast(res); // Node stops reading after an Upgrade
    const status = refusalOfHead(req);
    if (status) refuse(res, status);
    else void handle(req, res); // Koa handles its errors
  };
  const add = (req: IncomingMessage, res: BoundedResponse) =>
    connections.get(req.socket)?.add(req, res);

  server.on('connection', (socket) => {
    // Node also parses the requests of a refused connection. They must have no effect: their reply is the refusal.
    if (admit(socket)) connections.set(socket, new Connection(socket, start));
  });
  server.on('request', add);
  server.on('checkContinue', (req: IncomingMessage, res: BoundedResponse) => {
    res.expectsContinue = true;
    add(req, res);
  });
  server.on('checkExpectation', add); // refusalOfHead refuses it
  server.on('connect', (_req, socket) => {
    // Node has taken its listeners off. Without one, a client that disconnects would end the process.
    socket.on('error', () => socket.destroy());
    connections.get(socket)?.refuseTunnel();
  });
  server.on('clientError', (error: MalformedRequest, socket) => {
    if (error.code === 'ECONNRESET' || error.code === 'EPIPE') socket.destroy();
    else connections.get(socket)?.refuse(error);
  });
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
 * Serves for some more time, and ends each connection with its next reply. Meanwhile, load balancers notice that the
 * process is not ready, and clients connect to other processes.
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
