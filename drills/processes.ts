import { fork, type ChildProcess } from 'node:child_process';
import { inheritedEnvironment } from '../src/config/load.ts';
import { whenReady } from '../src/local/child-process.ts';
import { NO_LIMITS } from '../test/support/template.ts';

const READY_TIMEOUT_MS = 120_000;

/** Starts a process of the service in a folder without `.env`, and waits until it is ready. */
export async function startProcess(
  module: 'api' | 'worker',
  cwd: string,
  settings: Record<string, string>,
): Promise<ChildProcess> {
  const secrets = module === 'api' ? { JWT_SECRET: 'a-secret-for-drills-and-nothing-else' } : {};
  const child = fork(new URL(`../src/${module}.ts`, import.meta.url), {
    cwd,
    env: { ...inheritedEnvironment(), ...secrets, LOG_LEVEL: 'warn', ...NO_LIMITS, ...settings },
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
  await whenReady(child, module, READY_TIMEOUT_MS);
  return child;
}
