import { createServer, type Server } from 'node:http';
import type { Server as NetServer } from 'node:net';
import type { Duplex } from 'node:stream';
import type Koa from 'koa';
import type { AppState } from './request-log.ts';

/** Starts serving an application. Rejects when the port is taken. */
export async function serve(app: Koa<AppState>, port: number, host: string): Promise<Server> {
  const handle = app.callback();
  const server = createServer((req, res) => void handle(req, res)); // Koa handles what is thrown
  server.on('clientError', answerMalformed);
  await listen(server, port, host);
  return server;
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
    server.closeIdleConnections();
  });
  clearTimeout(timer);
}

const malformed: Record<string, readonly [number, string]> = {
  HPE_HEADER_OVERFLOW: [431, 'Request Header Fields Too Large'],
  ERR_HTTP_REQUEST_TIMEOUT: [408, 'Request Timeout'],
};

// Bytes that are not HTTP never reach Koa; they too are answered as a problem.
function answerMalformed(error: Error & { code?: string }, socket: Duplex): void {
  if (!socket.writable || error.code === 'ECONNRESET') {
    socket.destroy();
    return;
  }
  const [status, title] = malformed[error.code ?? ''] ?? [400, 'Bad Request'];
  const body = JSON.stringify({ type: 'about:blank', title, status });
  socket.end(
    `HTTP/1.1 ${status} ${title}\r\nContent-Type: application/problem+json\r\n` +
      `Content-Length: ${body.length}\r\nConnection: close\r\n\r\n${body}`,
  );
}
