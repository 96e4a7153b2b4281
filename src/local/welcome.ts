import type { Config } from '../config.ts';
import type { MetricsPorts } from './metrics-ports.ts';
import { urlOf } from './url.ts';

/**
 * The message that `npm start` prints when everything runs: addresses, and commands to paste into a shell. `dbaUrl` is
 * a DBA's login to the embedded Postgres, for psql. It is undefined when DATABASE_URL names the server.
 */
export function welcome(config: Config, ports: MetricsPorts, dbaUrl: string | undefined): string {
  const base = urlOf(config.HOST, config.PORT);
  const metricsOf = (port: number) => `${urlOf(config.METRICS_HOST, port)}/metrics`;
  const post = `curl -sw '\\n' -H 'Content-Type: application/json'`;
  const bearer = '-H "Authorization: Bearer $TOKEN"';
  return `
  Order Management API    ${base}
  Documentation           ${base}/docs
  Metrics                 ${metricsOf(ports.api)}, of the worker ${metricsOf(ports.worker)}
  Database                ${dbaUrl ? 'embedded Postgres' : 'DATABASE_URL'}
  Redis                   ${config.REDIS_URL ? new URL(config.REDIS_URL).host : 'none (degraded)'}

  Register, log in, place an order, and see it COMPLETED:

    EMAIL="ada-$(date +%s)@example.com"; PASSWORD="correct horse"
    ${post} ${base}/auth/register -d "{\\"name\\":\\"Ada\\",\\"email\\":\\"$EMAIL\\",\\"password\\":\\"$PASSWORD\\"}"
    TOKEN=$(${post} ${base}/auth/login -d "{\\"email\\":\\"$EMAIL\\",\\"password\\":\\"$PASSWORD\\"}" | cut -d'"' -f4)
    ${post} ${base}/orders ${bearer} -d '{"product_name":"Book","amount":99.00}'
    sleep 2; curl -sw '\\n' ${base}/orders ${bearer}

  Look at the queue and at the order${dbaUrl ? ', as a DBA does' : ''}:

    psql ${dbaUrl ? `'${dbaUrl}'` : '"$DATABASE_URL"'}
    TABLE ops.queues;
    SELECT order_id, step, actor, at FROM ops.order_timeline ORDER BY at DESC LIMIT 10;

  Ctrl-C stops everything; the data stays.

`;
}
