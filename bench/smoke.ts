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

/** Checks that every contestant does what it is measured for; measures nothing. Throws what is wrong. */
export async function smoke(machine: Machine, say: (line: string) => void): Promise<void> {
  for (const contestant of contestants) {
    await verify(machine, contestant);
    if (isQueueContestant(contestant)) await drainOnce(machine, contestant, DRAINED_ORDERS);
    say(`${contestant.name}: answers, stores and completes as it should`);
  }
  await verifyDirectSql(machine);
  say('direct SQL: stores as it should');
  await verifyLatency(machine);
  say('latency: every order is seen COMPLETED');
  await verifyBacklog(machine);
  say('backlog: a worker completes what was queued in bulk');
  await verifyWorkerKilled(machine);
  say('worker killed: the other one completes every order');
}
