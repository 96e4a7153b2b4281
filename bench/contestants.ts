import { ORDER_BODY, type Contestant, type QueueContestant } from './contestant.ts';
import { bullmq } from './peers/bullmq.ts';
import { graphile } from './peers/graphile.ts';
import { serviceContestant } from './peers/service.ts';

/** What is measured: this service, as it is by default. */
export const service: QueueContestant = serviceContestant({
  name: 'This service',
  database: 'orders',
});

/** (c) The same without group commit: a transaction for each request. */
export const oneByOne: QueueContestant = serviceContestant({
  name: 'This service, one transaction per request',
  database: 'orders_one_by_one',
  settings: { INTAKE_BATCH_SIZE_MAX: '1', INTAKE_IN_FLIGHT_MAX: '10' },
});

/** (e) The same without a database: what its HTTP costs. */
export const httpCeiling: Contestant = withoutStoring(
  serviceContestant({
    name: 'This service, no database',
    database: 'orders',
    module: 'bench/peers/http-ceiling.ts',
  }),
);

/** (f) What HTTP in Node can do at most. */
export const bareHttp: Contestant = {
  name: 'bare node:http',
  async api(machine) {
    const api = await machine.start('bare node:http', 'bench/peers/bare-http.ts', {});
    return { ...api, headers: { 'content-type': 'application/json' }, body: ORDER_BODY, path: '/' };
  },
};

function withoutStoring({ name, api }: Contestant): Contestant {
  return { name, api };
}

/** Those that take orders over HTTP. (d), which does not, is bench/peers/direct-sql.ts. */
export const contestants: Contestant[] = [
  service,
  bullmq,
  graphile,
  oneByOne,
  httpCeiling,
  bareHttp,
];
