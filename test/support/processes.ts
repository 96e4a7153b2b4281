/*
 * Runs the service's own programs as real processes, for tests that stop, freeze and kill them. At the end of a test,
 * each process that it started here is killed by its pid, together with all its descendants.
 */
import { fork } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { inheritedEnvironment } from '../../src/config/load.ts';
import { asRole, type ServiceRole } from '../../src/db/roles.ts';
import { isRunning } from '../../src/local/child-process.ts';
import { startRedis, type EmbeddedRedis } from '../../src/local/redis.ts';
import { freePort } from '../../src/local/free-port.ts';
import { requireRedis } from './servers.ts';
import { until } from './until.ts';

const READY_TIMEOUT_MS = 60_000;

type Program = 'api' | 'worker' | 'migrate' | 'start';
type Settings = Record<string, string | undefined>;

/** The exit of a process, and its output. */
type Ended = {
  code: number | null;
  signal: NodeJS.Signals | null;
  stdout: string;
  stderr: string;
};

/** A program that a test has started. */
export type Running = {
  pid: number;
  stdout: () => string;
  stderr: () => string;
  /** The log lines with this message. */
  logged: (message: string) => Record<string, unknown>[];
  send: (signal: NodeJS.Signals) => void;
  isRunning: () => boolean;
  ended: Promise<Ended>;
  /** The pids of its children that still run, and of their children. */
  descendants: () => number[];
};

/** Starts a program in a new folder, where it finds no .env. */
export function startProgram(t: ExecutionContext, program: Program, settings: Settings): Running {
  const cwd = temporaryFolder(t);
  const child = fork(new URL(`../../src/${program}.ts`, import.meta.url), {
    cwd,
    execArgv: [],
    env: { ...inheritedEnvironment(), ...settings },
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
  });
  const { pid = 0 } = child;
  let stdout = '';
  let stderr = '';
  child.stdout?.setEncoding('utf8').on('data', (text: string) => (stdout += text));
  child.stderr?.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  const started = new Set<number>();
  const ended = new Promise<Ended>((resolve) => {
    child.once('close', (code, signal) => resolve({ code, signal, stdout, stderr }));
  });
  const running: Running = {
    pid,
    stdout: () => stdout,
    stderr: () => stderr,
    logged: (message) => logLines(stdout).filter(({ msg }) => msg === message),
    send: (signal) => void child.kill(signal),
    isRunning: () => isRunning(child),
    ended,
    descendants: () => {
      const found = descendantsOf(pid);
      for (const descendant of found) started.add(descendant);
      return found;
    },
  };
  t.teardown(async () => {
    running.descendants();
    // Kill the process itself first: it would restart children that end.
    if (running.isRunning()) kill(pid);
    await ended;
    for (const one of started) kill(one);
    await until('the end of all started processes', () => ![...started].some(isAlive));
  });
  return running;
}

/** Starts the program of `npm start`, and waits for its welcome message. */
export async function startEverything(t: ExecutionContext, settings: Settings): Promise<Running> {
  const program = startProgram(t, 'start', settings);
  await untilStarted(program, () => program.stdout().includes('Ctrl-C stops everything'));
  return program;
}

/** A program that serves health and metrics for operators at `internal`. */
type WithMetrics = Running & { internal: string };

/** Starts an API process, and waits until it listens. */
export async function startApiProcess(
  t: ExecutionContext,
  settings: Settings,
): Promise<WithMetrics & { origin: string }> {
  const api = startProgram(t, 'api', {
    ...inRole(settings, 'oms_api'),
    PORT: '0',
    METRICS_PORT: '0',
    LOG_LEVEL: 'info',
  });
  await untilStarted(api, () => api.logged('api listening').length > 0);
  const origin = `http://127.0.0.1:${String(api.logged('api listening')[0]?.port)}`;
  return { ...api, origin, internal: internalOf(api) };
}

function internalOf({ logged }: Running): string {
  return `http://127.0.0.1:${String(logged('metrics served')[0]?.metrics_port)}`;
}

/** Starts a worker process, and waits until it is ready. */
export async function startWorkerProcess(
  t: ExecutionContext,
  settings: Settings,
): Promise<WithMetrics> {
  const worker = startProgram(t, 'worker', {
    ...inRole(settings, 'oms_worker'),
    METRICS_PORT: '0',
    LOG_LEVEL: 'info',
  });
  await untilStarted(worker, () => worker.logged('worker started').length > 0);
  return { ...worker, internal: internalOf(worker) };
}

/** Replaces the test's own login by that of the service's role. */
function inRole(settings: Settings, role: ServiceRole): Settings {
  const { DATABASE_URL } = settings;
  return DATABASE_URL ? { ...settings, DATABASE_URL: asRole(DATABASE_URL, role) } : settings;
}

async function untilStarted(program: Running, isReady: () => boolean): Promise<void> {
  const hasEnded = () => !program.isRunning();
  await until('a program to start', () => isReady() || hasEnded(), READY_TIMEOUT_MS);
  if (!isReady()) throw new Error(`a program did not start: ${program.stderr()}`);
}

/** Starts a Redis for one test, which may kill and freeze it. */
export async function ownRedis(t: ExecutionContext, port?: number): Promise<EmbeddedRedis> {
  const redis = await startRedis(requireRedis(), temporaryFolder(t), port);
  t.teardown(async () => {
    redis.child.kill('SIGKILL');
    await redis.stop();
  });
  return redis;
}

/** A folder that is removed after the test. */
export function temporaryFolder(t: ExecutionContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'oms-test-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** Whether a process exists and is not a zombie. */
export function isAlive(pid: number): boolean {
  return parentAndState(pid)?.state.match(/[^ZX]/) != null;
}

/** The command of a process: its program, and the arguments. */
export function commandOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ');
  } catch {
    return ''; // it has ended
  }
}

/** The environment that a process was started with. */
export function environmentOf(pid: number): Record<string, string> {
  const variables = readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0').filter(Boolean);
  return Object.fromEntries(variables.map((variable) => variable.split(/=(.*)/s)));
}

/** The commands of processes that run in a folder, or have it in their arguments. Redis hides its arguments. */
export function commandsIn(folder: string): string[] {
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  const commands = pids.map((name) => [commandOf(Number(name)), workingFolderOf(name)]);
  return commands.flatMap(([command = '', cwd = '']) =>
    command.includes(folder) || cwd.startsWith(folder) ? command : [],
  );
}

function workingFolderOf(pid: string): string {
  try {
    return readlinkSync(`/proc/${pid}/cwd`);
  } catch {
    return ''; // it has ended
  }
}

function kill(pid: number): void {
  if (isAlive(pid)) process.kill(pid, 'SIGKILL');
}

function descendantsOf(pid: number): number[] {
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  const parents = pids.map((name) => [Number(name), parentAndState(Number(name))?.parent] as const);
  const found = [pid];
  for (const parent of found) {
    found.push(...parents.flatMap(([child, of]) => (of === parent ? child : [])));
  }
  return found.slice(1);
}

/** Reads /proc/<pid>/stat: `pid (name) state parent …`. The name may contain spaces and brackets. */
function parentAndState(pid: number): { state: string; parent: number } | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const [state = '', parent] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return { state, parent: Number(parent) };
  } catch {
    return null; // it has ended
  }
}

function logLines(text: string): Record<string, unknown>[] {
  const lines = text.split('\n').slice(0, -1); // the last one may be half a line
  return lines.flatMap((line) => (line.startsWith('{') ? JSON.parse(line) : []));
}

/** Settings for `npm start` with a new data folder, a free port and no server. Also the address of the API. */
export async function freshSettings(t: ExecutionContext) {
  const port = await freePort();
  const settings = { DATA_DIR: join(temporaryFolder(t), 'data'), PORT: String(port) };
  return { settings, origin: `http://127.0.0.1:${port}` };
}

/** The pid of a descendant of a program, found by a part of its command. */
export function pidOf(started: Running, command: string): number | undefined {
  return started.descendants().find((pid) => commandOf(pid).includes(command));
}
