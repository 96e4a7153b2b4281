import { ORDER_BODY, type Contestant, type QueueContestant } from './contestant.ts';
import { bullmq } from './peers/bullmq.ts';
import { graphile } from './peers/graphile.ts';
import { serviceContestant } from './peers/service.ts';

/** The service that the bench is about, with its default settings. */
export const service: QueueContestant = serviceContestant({
  name: 'This service',
  database: 'orders',
});

/** The same without group commit: one transaction for each request. */
export const oneByOne: QueueContestant = serviceContestant({
  name: 'This service, one transaction per request',
  database: 'orders_one_by_one',
  settings: { INTAKE_BATCH_SIZE_MAX: '1', INTAKE_IN_FLIGHT_MAX: '10' },
});

/** The same, but it stores no order: the cost of its HTTP. */
export const httpCeiling: Contestant = withoutStoring(
  serviceContestant({
    name: 'This service, no database',
    database: 'orders',
    module: 'bench/peers/http-ceiling.ts',
  }),
);

/** The upper limit of HTTP in Node. */
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

/** The contestants that take orders over HTTP. Direct SQL does not; see bench/peers/direct-sql.ts. */
export const contestants: Contestant[] = [
  service,
  bullmq,
  graphile,
  oneByOne,
  httpCeiling,
  bareHttp,
];
