import type { Server } from 'node:http';
import { createApp } from './app.ts';
import { ApiConfig, loadConfig } from './config.ts';
import { closeDeps, openDeps, type ApiDeps, type Deps } from './deps.ts';
import { closeServer, portOf, serve } from './http/server.ts';
import { createIntake } from './orders/intake.ts';
import { exitOnFailure, reportReady, stopOnSignal } from './process.ts';
import { createPasswords } from './users/passwords.ts';

/** What an API process has besides what every process has. */
export function withApiParts(deps: Deps<ApiConfig>): ApiDeps {
  return { ...deps, intake: createIntake(deps), passwords: createPasswords() };
}

/** Serves the HTTP API until it is stopped. */
export function startApi(deps: ApiDeps): Promise<Server> {
  const { PORT, HOST } = deps.config;
  return serve(createApp(deps), PORT, HOST);
}

if (import.meta.main) {
  await exitOnFailure(async () => {
    const config = loadConfig(ApiConfig);
    const deps = withApiParts(await openDeps(config, 'api'));
    const server = await startApi(deps);
    stopOnSignal(async () => {
      deps.log.info('api stopping');
      await closeServer(server, config.SHUTDOWN_TIMEOUT_SECONDS);
      await closeDeps(deps);
      deps.log.info('api stopped');
    }, config.SHUTDOWN_TIMEOUT_SECONDS);
    deps.log.info({ port: portOf(server), host: config.HOST }, 'api listening');
    reportReady();
  });
}
