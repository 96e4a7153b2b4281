import { service } from '../contestants.ts';
import { inTurn, type Context, type Scenario } from '../scenario.ts';
import { addLoad, create } from './create.ts';

const CONNECTIONS = [64, 256];

async function run({ machine, results, quick, rounds, say }: Context): Promise<void> {
  const apis = [await service.api(machine), await service.api(machine)];
  const seconds = quick ? 1 : 2;
  await create(machine, apis, { connections: 64, seconds }); // warms up
  for (let round = 1; round <= rounds; round += 1) {
    say(`round ${round} of ${rounds}`);
    for (const connections of CONNECTIONS) {
      for (const processes of inTurn([1, 2], round)) {
        const load = await create(machine, apis.slice(0, processes), { connections, seconds });
        const name = `${processes} process${processes === 1 ? '' : 'es'} of the API`;
        addLoad(results, `create, ${connections} connections, more processes`, name, load);
      }
    }
  }
  for (const api of apis) await api.stop();
}

export const apiProcesses: Scenario = { name: 'api-processes', run };
