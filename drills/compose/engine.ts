import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { closeSync, mkdirSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ReadableError } from '../../src/process.ts';
import { endChild, isRunning } from '../../src/local/child-process.ts';
import { until } from '../../test/support/until.ts';
import { debianTar } from './debian.ts';
import { run, type RunOptions } from './run.ts';

const SCRIPT = fileURLToPath(new URL('engine.sh', import.meta.url));
const START_TIMEOUT_MS = 60_000;
const STOP_TIMEOUT_MS = 40_000;

/** A Docker engine with Compose that only this drill uses. */
export type Engine = {
  /** The tar file of the Debian in which the engine runs. The stand-ins for images are made from it. */
  debian: string;
  /** Runs a program in the root of the engine. Rejects with the end of its output when it fails. */
  run: (command: string[], options?: RunOptions) => Promise<string>;
  stop: () => Promise<void>;
};

/**
 * Starts an engine in `dir`/root, from Debian's packages. Of the machine's files, the engine sees only `dir`, under the
 * same path, and /dev and /sys.
 */
export async function startEngine(dir: string, say: (line: string) => void): Promise<Engine> {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) {
    throw new ReadableError('This drill starts a Docker engine: run it as root on Linux');
  }
  const debian = debianTar(say);
  const root = join(dir, 'root');
  mkdirSync(root);
  const { status } = spawnSync('tar', ['-xf', debian, '-C', root]);
  if (status !== 0) throw new ReadableError(`${debian} cannot be unpacked into ${dir}`);
  const child = startDaemon(dir);
  const inRoot = (command: string[], { cwd = dir, env = {} }: RunOptions = {}) =>
    run('nsenter', [`--target=${child.pid}`, '--mount', '--root', `--wdns=${cwd}`, ...command], {
      PATH: '/usr/sbin:/usr/bin:/sbin:/bin',
      HOME: '/root',
      DOCKER_HOST: `unix://${dir}/docker.sock`,
      ...env,
    });
  const answers = () =>
    inRoot(['docker', 'version']).then(
      () => true,
      () => !isRunning(child),
    );
  const stop = () => endChild(child, 'SIGTERM', STOP_TIMEOUT_MS);
  await until('the Docker engine', answers, START_TIMEOUT_MS).catch(async (error: unknown) => {
    await stop();
    throw error;
  });
  if (!isRunning(child)) throw new ReadableError(`The Docker engine ended: ${lastLine(dir)}`);
  return { debian, run: inRoot, stop };
}

function startDaemon(dir: string): ChildProcess {
  const log = openSync(join(dir, 'engine.log'), 'a');
  const args = ['--mount', '--propagation', 'private', 'sh', SCRIPT, dir];
  const child = spawn('unshare', args, { stdio: ['ignore', log, log], detached: true }); // Ctrl-C ends the drill only
  closeSync(log);
  return child;
}

function lastLine(dir: string): string {
  return readFileSync(join(dir, 'engine.log'), 'utf8').trim().split('\n').at(-1) ?? '';
}
