import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { setTimeout } from 'node:timers/promises';
import { ReadableError } from '../../src/process.ts';
import { endChild, isRunning } from '../../src/local/child-process.ts';
import { freePort } from '../../src/local/free-port.ts';
import { requireProgram } from '../programs.ts';

const START_TIMEOUT_MS = 30_000;
const STOP_TIMEOUT_MS = 5_000;
const POLL_MS = 50;

/** What HAProxy did, from its own statistics. */
export type ProxyCounts = { retried: number; redispatched: number };

/** A running HAProxy in front of API processes. */
type Proxy = {
  origin: string;
  counts: () => Promise<ProxyCounts>;
  /** Resolves when HAProxy sends requests to this many processes. */
  untilUp: (processes: number, timeoutMs: number) => Promise<void>;
  stop: () => Promise<void>;
};

/** Starts HAProxy in front of API processes on these ports, with the configuration that docs/operations.md shows. */
export async function startHaproxy(dir: string, ports: number[]): Promise<Proxy> {
  const program = requireProgram('haproxy');
  const port = await freePort();
  const file = join(dir, 'haproxy.cfg');
  const statsSocket = join(dir, 'haproxy.sock');
  writeFileSync(file, configuration(port, ports, statsSocket));
  const child = spawn(program, ['-db', '-f', file], { stdio: ['ignore', 'ignore', 'pipe'] });
  let errors = '';
  child.stderr.setEncoding('utf8').on('data', (more: string) => (errors += more));

  async function rows(): Promise<Record<string, string>[]> {
    return parseCsv(await ask(statsSocket, 'show stat'));
  }
  const backend = async () => (await rows()).find(({ svname }) => svname === 'BACKEND') ?? {};

  async function untilUp(processes: number, timeoutMs: number): Promise<void> {
    const deadline = Date.now() + timeoutMs;
    for (;;) {
      if (!isRunning(child)) throw new ReadableError(`HAProxy ended: ${errors.trim()}`);
      const { act } = await backend().catch(() => ({ act: '' })); // HAProxy has not made its socket yet
      if (Number(act) >= processes) return;
      if (Date.now() > deadline) throw new ReadableError('HAProxy does not see all API processes');
      await setTimeout(POLL_MS);
    }
  }

  const stop = () => endChild(child, 'SIGTERM', STOP_TIMEOUT_MS);
  try {
    await untilUp(ports.length, START_TIMEOUT_MS);
  } catch (error) {
    await stop();
    throw error;
  }
  async function counts(): Promise<ProxyCounts> {
    const { wretr, wredis } = await backend();
    return { retried: Number(wretr), redispatched: Number(wredis) };
  }
  return { origin: `http://127.0.0.1:${port}`, counts, untilUp, stop };
}

/** The lines of the backend are those of docs/operations.md. */
function configuration(port: number, ports: number[], statsSocket: string): string {
  const servers = ports.map((at, number) => `  server api${number} 127.0.0.1:${at}`);
  return `
global
  stats socket ${statsSocket}
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
frontend orders
  bind 127.0.0.1:${port}
  default_backend api
backend api
  balance leastconn
  option httpchk GET /readyz
  http-check expect status 200
  option redispatch
  default-server check inter 2s fall 3 rise 1 fastinter 1s
${servers.join('\n')}
`;
}

async function ask(statsSocket: string, command: string): Promise<string> {
  const socket = connect(statsSocket);
  await once(socket, 'connect');
  socket.write(`${command}\n`);
  return text(socket);
}

/** The first line names the columns, after "# ". */
function parseCsv(csv: string): Record<string, string>[] {
  const [head = '', ...lines] = csv.trim().split('\n');
  const names = head.replace('# ', '').split(',');
  return lines.map((line) => {
    const values = line.split(',');
    return Object.fromEntries(names.map((name, at) => [name, values[at] ?? '']));
  });
}
