/*
 * Runs `npm run audit` as a process of its own, against a service with orders.
 */
import { spawn } from 'node:child_process';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import type { ExecutionContext } from 'ava';
import { inheritedEnvironment } from '../../src/config/load.ts';
import { drain, ownService, signUp, type Context } from './context.ts';
import { insertOrders } from './orders.ts';
import { temporaryFolder } from './processes.ts';
import { databaseUrl } from './template.ts';

const PROGRAM = fileURLToPath(new URL('../../src/audit.ts', import.meta.url));

/** Runs the command in a folder without an `.env`. */
export async function runAuditCommand(
  cwd: string,
  args: string[],
  env: Record<string, string> = {},
) {
  const child = spawn(process.execPath, [PROGRAM, ...args], {
    cwd,
    env: { ...inheritedEnvironment(), ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const exited = new Promise<number | null>((resolve) => child.once('exit', resolve));
  const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr)]);
  return { code: await exited, stdout, stderr };
}

/** A service with completed orders, and the environment in which the audit checks it. */
export async function serviceWithOrders(t: ExecutionContext<Context>, count: number) {
  const service = await ownService(t);
  const user = await signUp(service);
  const ids = await insertOrders(service.deps, user.id, count);
  await drain(service.deps, 'process-order');
  const env = { AUDIT_DATABASE_URL: databaseUrl(service.database) };
  return { service, ids, env, cwd: temporaryFolder(t) };
}
