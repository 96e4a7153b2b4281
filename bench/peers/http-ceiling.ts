/*
 * The API of the service, with an intake that does not store orders: it replies at once, as if the order had been
 * committed. Only registration and login use the database. So the CPU time of a request is the part of HTTP in the CPU
 * time of an order.
 */
import { startApi, withAppParts } from '../../src/api.ts';
import { ApiConfig } from '../../src/config.ts';
import { loadConfig } from '../../src/config/load.ts';
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
  oldestMs: () => 0,
};

await runPeer(async () => {
  const deps = await openDeps(loadConfig(ApiConfig), 'api');
  const server = await startApi({ ...withAppParts(deps), intake });
  return async () => {
    server.closeAllConnections();
    await closeDeps(deps);
  };
});
