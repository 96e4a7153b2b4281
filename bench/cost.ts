import { readdirSync, readFileSync } from 'node:fs';

const TICKS_PER_SECOND = 100; // USER_HZ; the same on every Linux that Node supports

/** The cost of a process so far: its CPU time, and its memory peak. */
export type Cost = { cpuSeconds: number; memoryMb: number };

/** CPU time and memory peak of a process, see proc(5). Zero after it has ended. */
export function costOf(pid: number): Cost {
  const [user = 0, system = 0] = ticksOf(pid);
  return { cpuSeconds: (user + system) / TICKS_PER_SECOND, memoryMb: peakMbOf(pid) };
}

/**
 * The cost of a server with all its processes, including those that have ended. Shared memory counts once if the Pss of
 * the processes can be read; otherwise the resident memory of each process is added up.
 */
export function costOfTree(pid: number): Cost {
  const children = childrenOf(pid);
  const all = [pid, ...children];
  const ticks = ticksOf(pid).reduce((sum, each) => sum + each, 0);
  const running = children.map((child) => costOf(child).cpuSeconds);
  return {
    cpuSeconds: running.reduce((sum, each) => sum + each, ticks / TICKS_PER_SECOND),
    memoryMb: all.reduce((sum, each) => sum + shareMbOf(each), 0),
  };
}

/** The peak of the resident memory. */
function peakMbOf(pid: number): number {
  return kilobytes(read(pid, 'status'), 'VmHWM') / 1024;
}

/** Resident memory. */
export function rssMbOf(pid: number): number {
  return kilobytes(read(pid, 'status'), 'VmRSS') / 1024;
}

function shareMbOf(pid: number): number {
  const share = kilobytes(read(pid, 'smaps_rollup'), 'Pss') / 1024;
  return share > 0 ? share : rssMbOf(pid);
}

/** utime and stime of the process, and cutime and cstime of its ended children. */
function ticksOf(pid: number): number[] {
  const stat = read(pid, 'stat');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return fields.slice(11, 15).map(Number);
}

function childrenOf(pid: number): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((each) => kilobytes(read(each, 'status'), 'PPid') === pid);
}

function kilobytes(text: string, name: string): number {
  return Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(text)?.[1] ?? 0);
}

function read(pid: number, file: string): string {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'utf8');
  } catch {
    return '';
  }
}
