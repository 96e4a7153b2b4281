/*
 * (e) Our API with everything it does to a request, except that an order goes nowhere: its intake answers
 * at once, as if the order had been committed. The database serves to log in, and is not asked after that.
 */
import { startApi } from '../../src/api.ts';
import { ApiConfig, loadConfig } from '../../src/config.ts';
import { closeDeps, openDeps } from '../../src/deps.ts';
import type { Intake } from '../../src/orders/intake.ts';
import { placedReply } from '../../src/orders/replies.ts';
import { runPeer } from './serving.ts';

const intake: Intake = {
  place(order) {
    const now = new Date().toISOString();
    const placed = { ...order, status: 'PENDING' as const, version: 1 };
    return Promise.resolve(placedReply({ ...placed, created_at: now, updated_at: now }));
  },
  waiting: () => 0,
};

await runPeer(async () => {
  const deps = await openDeps(loadConfig(ApiConfig), 'api');
  const server = await startApi({ ...deps, intake });
  return async () => {
    server.closeAllConnections();
    await closeDeps(deps);
  };
});
