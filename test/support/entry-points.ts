/*
 * Runs an entry point with exactly these variables, in a folder that has no `.env` of the project.
 */
import { spawn } from 'node:child_process';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';

/** Runs a file of src until it ends. */
export function runEntryPoint(entry: string, cwd: string, env: Record<string, string>) {
  return runNode([sourceFile(entry)], cwd, env);
}

/** Runs Node with these arguments until it ends. */
export async function runNode(args: string[], cwd: string, env: Record<string, string>) {
  const child = spawn(process.execPath, args, { cwd, env, stdio: ['ignore', 'pipe', 'pipe'] });
  const exited = new Promise<number | null>((resolve) => child.once('exit', resolve));
  const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr)]);
  return { code: await exited, stdout, stderr };
}

/** The path of a file of src. */
export function sourceFile(name: string): string {
  return fileURLToPath(new URL(`../../src/${name}`, import.meta.url));
}
