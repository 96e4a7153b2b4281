import pretty from 'pino-pretty';
import { ApiConfig, WorkerConfig, type Config } from '../config.ts';
import { inheritedEnvironment, settingsOf, type Environment } from '../config/load.ts';
import type { RolePasswords } from '../db/role-passwords.ts';
import { loginUrl } from '../db/roles.ts';
import type { MetricsPorts } from './metrics-ports.ts';
import type { Print } from './own-servers.ts';
import type { StartedParts } from './started-parts.ts';
import { createProcessKeeper } from './process-keeper.ts';

const READY_TIMEOUT_MS = 60_000;
/** The time that a process gets beyond its own DRAIN_SECONDS and SHUTDOWN_TIMEOUT_SECONDS. */
const STOP_MARGIN_MS = 5_000;

const services = [
  { name: 'worker', role: 'oms_worker', schema: WorkerConfig },
  { name: 'api', role: 'oms_api', schema: ApiConfig },
] as const;

/** The settings of all processes, as text and as parsed values, and the passwords of their roles. */
type Settings = {
  env: Environment;
  config: Config;
  passwords: Required<Pick<RolePasswords, 'oms_api' | 'oms_worker'>>;
  ports: MetricsPorts;
};

/** Starts a worker and an API, each with its own settings and the login of its role. Keeps them running. */
export async function startServices(
  { env, config, passwords, ports }: Settings,
  parts: StartedParts,
  print: Print,
): Promise<void> {
  const log = process.stdout.isTTY ? pretty({ ignore: 'hostname,pid' }) : process.stdout;
  const keeper = createProcessKeeper(log, print, {
    readyMs: READY_TIMEOUT_MS,
    stopMs: (config.DRAIN_SECONDS + config.SHUTDOWN_TIMEOUT_SECONDS) * 1000 + STOP_MARGIN_MS,
  });
  parts.add(keeper.stop);
  print('Starting API and worker …');
  for (const { name, role, schema } of services) {
    const DATABASE_URL = loginUrl(config.DATABASE_URL, role, passwords[role]);
    const module = new URL(`../${name}.ts`, import.meta.url);
    const METRICS_PORT = String(ports[name]);
    const settings = settingsOf(schema, { ...env, DATABASE_URL, METRICS_PORT });
    await keeper.start(name, module, { ...inheritedEnvironment(), ...settings });
  }
}
