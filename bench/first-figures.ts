/*
 * npm run bench [-- latency|memory]: the figures that the README states. POST → COMPLETED on an idle
 * system, with and without Redis, and the memory of the processes after 10,000 orders. Throughput
 * against other systems is not measured here.
 */
import { cpus } from 'node:os';
import { setTimeout } from 'node:timers/promises';
import { openMachine, quantile, signUp } from './service.ts';

const SAMPLES = 50;
const ORDERS = 10_000;
const CONNECTIONS = 32;
const ORDER = JSON.stringify({ product_name: 'Book', amount: 99.0 });

type Headers = Record<string, string>;

async function place(origin: string, headers: Headers): Promise<string> {
  const response = await fetch(`${origin}/orders`, { method: 'POST', headers, body: ORDER });
  if (response.status !== 201) throw new Error(`POST /orders answered ${response.status}`);
  return ((await response.json()) as { id: string }).id;
}

/** Milliseconds from sending the order until its last event says COMPLETED, asked every 2 ms. */
async function timeToCompleted(origin: string, headers: Headers): Promise<number> {
  const started = performance.now();
  const id = await place(origin, headers);
  for (;;) {
    const response = await fetch(`${origin}/orders/${id}`, { headers });
    const { status } = (await response.json()) as { status: string };
    if (status === 'COMPLETED') return performance.now() - started;
    await setTimeout(2);
  }
}

async function measureLatency(redis: boolean): Promise<void> {
  const machine = await openMachine({ redis });
  const api = await machine.run('api');
  await machine.run('worker');
  const origin = `http://127.0.0.1:${api.port}`;
  const headers = await signUp(origin);
  const samples: number[] = [];
  for (let i = 0; i < SAMPLES + 5; i += 1) {
    // Idle in between, and at no fixed distance from the poll.
    await setTimeout(100 + Math.random() * (redis ? 100 : 1000));
    const ms = await timeToCompleted(origin, headers);
    if (i >= 5) samples.push(ms); // the first ones warm up
  }
  await machine.close();
  const [p50, p95, max] = [0.5, 0.95, 1].map((share) => quantile(samples, share).toFixed(1));
  const what = `POST → COMPLETED, idle, ${redis ? 'with' : 'without'} Redis, ${SAMPLES} orders`;
  report(what, `p50 ${p50} ms, p95 ${p95} ms, max ${max} ms`);
}

async function measureMemory(): Promise<void> {
  const machine = await openMachine({ redis: true });
  const api = await machine.run('api');
  const worker = await machine.run('worker');
  const origin = `http://127.0.0.1:${api.port}`;
  const headers = await signUp(origin);
  let left = ORDERS;
  const peak = { api: 0, worker: 0 };
  const client = async () => {
    while (left > 0) {
      left -= 1;
      await place(origin, headers);
      if (left % 500 === 0) {
        peak.api = Math.max(peak.api, api.rssMb());
        peak.worker = Math.max(peak.worker, worker.rssMb());
      }
    }
  };
  await Promise.all(Array.from({ length: CONNECTIONS }, client));
  const [apiMb, workerMb] = [api.rssMb(), worker.rssMb()];
  await machine.close();
  report(
    `RSS of one API process after ${ORDERS} creates`,
    `${apiMb.toFixed(0)} MB (peak ${peak.api.toFixed(0)})`,
  );
  report(
    'RSS of one worker after as many orders',
    `${workerMb.toFixed(0)} MB (peak ${peak.worker.toFixed(0)})`,
  );
}

function report(what: string, figure: string): void {
  process.stdout.write(`${what.padEnd(60)} ${figure}\n`);
}

const [only] = process.argv.slice(2);
report('CPU', `${cpus().length} × ${cpus()[0]?.model ?? '?'}`);
report('Node', process.version);
if (only !== 'memory') {
  await measureLatency(true);
  await measureLatency(false);
}
if (only !== 'latency') await measureMemory();
