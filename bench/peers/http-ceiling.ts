/*
 * (e) Our API with everything it does to a request, except that an order goes nowhere: its intake answers
 * at once, as if the order had been committed. The database serves to log in, and is not asked after that.
 * So its CPU per request is the share that HTTP has in the CPU of an order.
 */
import { startApi, withAppParts } from '../../src/api.ts';
import { ApiConfig, loadConfig } from '../../src/config.ts';
import { closeDeps, openDeps } from '../../src/deps.ts';
import type { Intake } from '../../src/orders/placement.ts';
import { runPeer } from './serving.ts';

const intake: Intake = {
  add({ id, json }) {
    const now = new Date().toISOString();
    const body = `${json},"created_at":"${now}","updated_at":"${now}"}`;
    const headers = { Location: `/orders/${id}` };
    return Promise.resolve({ status: 201, headers, body, order_id: id, replayed: false });
  },
  waiting: () => 0,
};

await runPeer(async () => {
  const deps = await openDeps(loadConfig(ApiConfig), 'api');
  const server = await startApi({ ...withAppParts(deps), intake });
  return async () => {
    server.closeAllConnections();
    await closeDeps(deps);
  };
});
