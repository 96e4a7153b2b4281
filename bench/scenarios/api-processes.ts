import { service } from '../contestants.ts';
import { serviceContestant } from '../peers/service.ts';
import { inTurn, type Context, type Scenario } from '../scenario.ts';
import { addLoad, create } from './create.ts';

const CONNECTIONS = [64, 256];

/** The name of the figures at this number of connections. */
export const processesAt = (connections: number) =>
  `create, ${connections} connections, more processes`;
export const withProcesses = (processes: number) =>
  `${processes} process${processes === 1 ? '' : 'es'} of the API`;

const contestant = serviceContestant({ name: service.name, database: 'orders_api_processes' });

async function run({ machine, results, quick, rounds, say }: Context): Promise<void> {
  const apis = [await contestant.api(machine), await contestant.api(machine)];
  const seconds = quick ? 1 : 2;
  for (const api of apis) await create(machine, [api], { connections: 64, seconds: 1 }); // warms up
  for (let round = 1; round <= rounds; round += 1) {
    say(`round ${round} of ${rounds}`);
    for (const connections of CONNECTIONS) {
      for (const processes of inTurn([1, 2], round)) {
        const load = await create(machine, apis.slice(0, processes), { connections, seconds });
        addLoad(results, processesAt(connections), withProcesses(processes), load);
      }
    }
  }
  for (const api of apis) await api.stop();
}

export const apiProcesses: Scenario = { name: 'api-processes', run };
