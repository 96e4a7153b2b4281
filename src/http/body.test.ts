import { once } from 'node:events';
import { connect } from 'node:net';
import { PassThrough } from 'node:stream';
import test from 'ava';
import Koa from 'koa';
import { pino } from 'pino';
import { createMetrics } from '../metrics.ts';
import { jsonBody } from './body.ts';
import { problemDetails } from './problem.ts';
import { requestLog } from './request-log.ts';
import { closeServer, portOf, serve } from './server.ts';
import type { AppState } from './state.ts';

test('a client that hangs up in the middle of a body is not waited for', async (t) => {
  const lines = new PassThrough();
  const app = new Koa<AppState>();
  app.use(requestLog(pino({ level: 'info' }, lines), createMetrics()));
  app.use(problemDetails()).use(jsonBody());
  const server = await serve(app, 0, '127.0.0.1');
  t.teardown(() => closeServer(server, 1));

  const socket = connect(portOf(server), '127.0.0.1');
  const head = 'POST / HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n';
  socket.write(`${head}Content-Length: 50\r\n\r\n{"product`);
  await once(server, 'request');
  socket.destroy();
  const [line] = (await once(lines, 'data')) as [Buffer];

  t.like(JSON.parse(String(line)), { status: 400, route: 'none', msg: 'request answered' });
});
