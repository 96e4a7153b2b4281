/*
 * A server for the external step of an order (fulfilment), and services that call it.
 */
import { createServer, type IncomingHttpHeaders, type ServerResponse } from 'node:http';
import { text } from 'node:stream/consumers';
import type { ExecutionContext } from 'ava';
import { listen } from '../../src/http/server.ts';
import { withSettings, type Context } from './context.ts';

export const FULFILMENT_SECRET = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw';

type Call = { method: string | undefined; headers: IncomingHttpHeaders; body: string };
type CallHandler = (response: ServerResponse, call: Call) => unknown;

/** Opens a server for the external step until the test ends. It records each call, and `answer` answers it. */
export async function openFulfilment(t: ExecutionContext<Context>, answer: CallHandler) {
  const calls: Call[] = [];
  const server = createServer((request, response) => {
    void text(request).then((body) => {
      const { method, headers } = request;
      const call = { method, headers, body };
      calls.push(call);
      return answer(response, call);
    });
  });
  const port = await listen(server, 0, '127.0.0.1');
  t.teardown(() => server.close().closeAllConnections());
  return { calls, url: `http://127.0.0.1:${port}/fulfil` };
}

/** A second service on the test's database, with its external step at a URL. */
export function withFulfilment(
  t: ExecutionContext<Context>,
  url: string,
  settings: Record<string, string> = {},
) {
  return withSettings(t, { FULFILMENT_URL: url, FULFILMENT_SECRET, ...settings });
}

/** Answers with a status and a short text. */
export function status(
  code: number,
  headers: Record<string, string> = {},
  body = 'said so',
): CallHandler {
  return (response) => response.writeHead(code, headers).end(body);
}
