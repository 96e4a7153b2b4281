import type { Config } from './config.ts';

/** What `npm start` ends with: where things are, and an order to try, ready to paste. */
export function welcome(config: Config, { embedded }: { embedded: boolean }): string {
  const base = `http://${config.HOST === '0.0.0.0' ? '127.0.0.1' : config.HOST}:${config.PORT}`;
  const json = `-H 'Content-Type: application/json'`;
  return `
  Order Management API    ${base}
  Documentation           ${base}/docs
  Database                ${embedded ? 'embedded Postgres' : 'DATABASE_URL'}
  Redis                   ${config.REDIS_URL ?? 'none (degraded)'}

  Register, log in, place an order, and see it COMPLETED:

    EMAIL="ada-$RANDOM@example.com"
    curl -s ${base}/auth/register ${json} -d '{"name":"Ada","email":"'$EMAIL'","password":"correct horse"}'
    TOKEN=$(curl -s ${base}/auth/login ${json} -d '{"email":"'$EMAIL'","password":"correct horse"}' | sed 's/.*"access_token":"\\([^"]*\\)".*/\\1/')
    curl -s ${base}/orders ${json} -H "Authorization: Bearer $TOKEN" -d '{"product_name":"Book","amount":99.00}'
    sleep 1; curl -s ${base}/orders -H "Authorization: Bearer $TOKEN"

  Look at the queue:

    psql '${config.DATABASE_URL}' -c 'TABLE ops.queue_health' -c 'SELECT id, state, started_on, completed_on FROM pgboss.job ORDER BY created_on DESC LIMIT 10'

  Ctrl-C stops everything; the data stays.

`;
}
