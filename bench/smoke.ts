import { isQueueContestant } from './contestant.ts';
import { contestants } from './contestants.ts';
import type { Machine } from './machine.ts';
import { verifyDirectSql } from './peers/direct-sql.ts';
import { verifyBacklog } from './scenarios/backlog.ts';
import { drainOnce } from './scenarios/drain.ts';
import { verifyLatency } from './scenarios/latency.ts';
import { verifyWorkerKilled } from './scenarios/worker-killed.ts';
import { verify } from './verify.ts';

const DRAINED_ORDERS = 200;

/** Checks every contestant (verify.ts), and lets those with a queue drain it. Measures nothing. Throws at a failure. */
export async function smoke(machine: Machine, say: (line: string) => void): Promise<void> {
  for (const contestant of contestants) {
    await verify(machine, contestant);
    if (isQueueContestant(contestant)) await drainOnce(machine, contestant, DRAINED_ORDERS);
    say(`${contestant.name}: passes its checks`);
  }
  await verifyDirectSql(machine);
  say('direct SQL: stores orders with their events and jobs');
  await verifyLatency(machine);
  say('latency: every order is seen as COMPLETED');
  await verifyBacklog(machine);
  say('backlog: a worker completes orders that were queued in bulk');
  await verifyWorkerKilled(machine);
  say('worker killed: the other worker completes every order');
}
