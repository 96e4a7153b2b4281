import { service } from '../contestants.ts';
import { serviceContestant } from '../peers/service.ts';
import type { Context, Scenario } from '../scenario.ts';
import { create } from './create.ts';

const CONNECTIONS = 256;
const SAMPLE_MS = 1000;

export const MEMORY = `memory of the API, ${CONNECTIONS} connections`;

// A new process, so only this load is in its memory.
const contestant = serviceContestant({ name: service.name, database: 'orders_memory' });

/** The rise in megabytes of a least-squares line through the samples, from the first to the last. */
function rise(samples: number[]): number {
  const middle = (samples.length - 1) / 2;
  const mean = samples.reduce((sum, each) => sum + each, 0) / samples.length;
  const covariance = samples.reduce((sum, each, n) => sum + (n - middle) * (each - mean), 0);
  const variance = samples.reduce((sum, _each, n) => sum + (n - middle) ** 2, 0);
  return (covariance / variance) * (samples.length - 1);
}

async function run({ machine, results, quick, say }: Context): Promise<void> {
  const seconds = quick ? 4 : 60;
  say(`${CONNECTIONS} connections for ${seconds} s`);
  const api = await contestant.api(machine);
  const samples: number[] = [];
  const sampling = setInterval(() => samples.push(api.rssMb()), SAMPLE_MS);
  try {
    await create(machine, [api], { connections: CONNECTIONS, seconds });
  } finally {
    clearInterval(sampling);
  }
  results.add(MEMORY, service.name, 'peak', 'MB', Math.max(...samples));
  const secondHalf = samples.slice(Math.floor(samples.length / 2));
  results.add(MEMORY, service.name, 'rise in the second half', 'MB', rise(secondHalf));
  await api.stop();
}

export const memory: Scenario = { name: 'memory', run };
