import { request, type Agent, type IncomingHttpHeaders } from 'node:http';
import type { FuzzRequest } from './requests.ts';

/** A reply, and how long it took. Without a reply, the status is 0 and `error` says why. */
export type FuzzReply = {
  status: number;
  headers: IncomingHttpHeaders;
  body: Buffer;
  ms: number;
  error?: string;
};

const TIMEOUT_MS = 30_000;

/** Sends a request on a connection of the agent. Never rejects. */
export function sendRequest(origin: string, agent: Agent, sent: FuzzRequest): Promise<FuzzReply> {
  const { hostname, port } = new URL(origin);
  const { method, path, headers, body } = sent;
  const startedAt = performance.now();
  return new Promise((resolve) => {
    const none = { status: 0, headers: {}, body: Buffer.alloc(0) };
    const done = (reply: Omit<FuzzReply, 'ms'>) =>
      resolve({ ...reply, ms: performance.now() - startedAt });
    const length = body && !headers['transfer-encoding'] ? { 'content-length': body.length } : {};
    const outgoing = request(
      { hostname, port, method, path, agent, headers: { ...headers, ...length } },
      (reply) => {
        const chunks: Buffer[] = [];
        const end = () =>
          done({
            status: reply.statusCode ?? 0,
            headers: reply.headers,
            body: Buffer.concat(chunks),
          });
        reply.on('data', (chunk: Buffer) => chunks.push(chunk));
        reply.on('end', end);
        reply.on('error', end);
      },
    );
    outgoing.setTimeout(TIMEOUT_MS, () => outgoing.destroy(new Error('no reply in time')));
    outgoing.on('error', (error) => done({ ...none, error: error.message }));
    if (headers.expect) outgoing.flushHeaders();
    outgoing.end(body);
  });
}
