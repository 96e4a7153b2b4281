import { execFile } from 'node:child_process';
import { ReadableError } from '../../src/process.ts';

const TIMEOUT_MS = 300_000;
const LINES_OF_OUTPUT = 15;

export type RunOptions = { cwd?: string; env?: Record<string, string> };

/**
 * Runs a program and resolves with its output. When the program fails, rejects with a ReadableError that has the end of
 * the output. It names the command that follows the four options of nsenter.
 */
export function run(program: string, args: string[], env: NodeJS.ProcessEnv): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const options = { env, timeout: TIMEOUT_MS, maxBuffer: 64 * 1024 * 1024 };
  execFile(program, args, options, (error, stdout, stderr) => {
    if (!error) return resolve(stdout.trim());
    const output = `${stdout}\n${stderr}`.trim().split('\n').slice(-LINES_OF_OUTPUT);
    reject(new ReadableError([`${args.slice(4).join(' ')} failed:`, ...output].join('\n')));
  });
  return promise;
}
