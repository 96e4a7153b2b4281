import type { Server } from 'node:http';
import { createApp, type AppDeps } from './app.ts';
import { ApiConfig } from './config.ts';
import { loadConfig } from './config/load.ts';
import { closeDeps, openDeps, type ApiDeps } from './deps.ts';
import { createHealth } from './health/health.ts';
import { RecentOrders } from './health/recent-orders.ts';
import { closeInternal, serveInternal } from './health/listener.ts';
import { closeServer, drainServer, portOf, serve } from './http/server.ts';
import { createIntake } from './orders/placement.ts';
import { exitOnFailure, reportReady, stopOnSignal } from './process.ts';
import { createLiveSessions } from './users/live-sessions.ts';
import { createPasswordHasher } from './users/passwords.ts';
import { createTokenKeys } from './users/token-keys.ts';

/** Adds the dependencies that only the HTTP API has. */
export function withAppParts(deps: ApiDeps): AppDeps {
  const recentOrders = new RecentOrders();
  const intake = createIntake(deps, (id, orders) => recentOrders.add(id, orders));
  return {
    ...deps,
    intake,
    passwords: createPasswordHasher(),
    liveSessions: createLiveSessions(deps),
    tokenKeys: createTokenKeys(deps.config),
    health: createHealth(deps, { intake, recentOrders }),
  };
}

/** Starts the HTTP API. */
export function startApi(deps: AppDeps): Promise<Server> {
  const { PORT, HOST } = deps.config;
  return serve(createApp(deps), PORT, HOST, deps.config);
}

if (import.meta.main) {
  await exitOnFailure(async () => {
    const config = loadConfig(ApiConfig);
    const deps = withAppParts(await openDeps(config, 'api'));
    const internal = await serveInternal(deps);
    const server = await startApi(deps);
    deps.health.start();
    stopOnSignal(async () => {
      deps.log.info('api stopping');
      deps.stopping.abort(); // /readyz answers 503
      await drainServer(server, config.DRAIN_SECONDS);
      await closeServer(server, config.SHUTDOWN_TIMEOUT_SECONDS);
      await closeInternal(internal);
      await closeDeps(deps);
      deps.log.info('api stopped');
    }, config.DRAIN_SECONDS + config.SHUTDOWN_TIMEOUT_SECONDS);
    deps.log.info({ port: portOf(server), host: config.HOST }, 'api listening');
    reportReady();
  });
}
