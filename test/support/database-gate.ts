/*
 * A TCP proxy between a process and its database. A test can make it hang, or close it.
 */
import { connect, createServer, type Socket } from 'node:net';
import type { ExecutionContext } from 'ava';
import { openPool } from '../../src/db/pool.ts';
import { Probe } from '../../src/health/probe.ts';
import { listen } from '../../src/http/server.ts';
import { withDeps, type Context } from './context.ts';
import { databaseUrl } from './template.ts';

/** An API whose connections to the database go through such a proxy, the gate. */
export async function behindGate(t: ExecutionContext<Context>) {
  const url = new URL(databaseUrl(t.context.database));
  const address = { host: url.hostname, port: Number(url.port || 5432) };
  const sockets = new Set<Socket>();
  let hanging = false;
  const gateway = createServer((socket) => {
    const beyond = connect(address);
    for (const end of [socket, beyond]) sockets.add(end.on('error', () => end.destroy()));
    if (!hanging) socket.pipe(beyond).pipe(socket);
  });
  const port = await listen(gateway, 0, '127.0.0.1');
  const gate = {
    /** Passes no more bytes. Both ends stay connected. */
    hang: () => {
      hanging = true;
      for (const socket of sockets) socket.unpipe();
    },
    /** Breaks all connections, and accepts no more. */
    close: () => {
      gateway.close();
      for (const socket of sockets) socket.destroy();
    },
  };
  url.host = `127.0.0.1:${port}`;
  const { log, outage, config: shared } = t.context.deps;
  const config = { ...shared, DATABASE_URL: url.href };
  const pool = await openPool(config, log);
  const probe = new Probe(config, 'test', { log, outage });
  await probe.open();
  t.teardown(() => pool.end());
  t.teardown(() => {
    probe.close();
    gate.close(); // before pool.end, which would wait for the database
  });
  return { service: await withDeps(t, { pool, probe }), gate };
}
