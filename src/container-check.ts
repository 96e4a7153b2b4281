/*
 * node src/container-check.ts ORIGIN: the health check of a container. Exit code 0: ready; 1: not ready. Docker does
 * not restart a container whose process hangs. So when the process does not even answer /livez, this command kills the
 * process. Then the container ends, and Docker starts it again. A process that answers is never killed: a restart does
 * not help a process that is not ready, for example because its database is away.
 */
import { readdirSync, readFileSync } from 'node:fs';

const READY_TIMEOUT_MS = 5_000;
const ALIVE_TIMEOUT_MS = 5_000;
/** With the timeouts above, a check takes 20 s at most: less than its timeout in docker-compose.yml. */
const ALIVE_TRIES = 3;

/** Sends a request to the process, and returns how it answers. */
type Answers = (path: string, timeoutMs: number) => Promise<Response | 'refused' | 'silent'>;

/** Checks a container. A process that refuses connections does not hang: it is still starting, or stopping already. */
export async function checkContainer(answers: Answers): Promise<'ready' | 'not ready' | 'hangs'> {
  const ready = await answers('/readyz', READY_TIMEOUT_MS);
  if (ready instanceof Response) return ready.ok ? 'ready' : 'not ready';
  for (let attempt = 0; attempt < ALIVE_TRIES; attempt += 1) {
    if ((await answers('/livez', ALIVE_TIMEOUT_MS)) !== 'silent') return 'not ready';
  }
  return 'hangs';
}

/** Returns a function that asks the process at an origin. `silent`: the port is open, but no answer came in time. */
export function asking(origin: string): Answers {
  return async (path, timeoutMs) => {
    try {
      return await fetch(origin + path, { signal: AbortSignal.timeout(timeoutMs) });
    } catch (error) {
      return error instanceof Error && error.name === 'TimeoutError' ? 'silent' : 'refused';
    }
  };
}

/** The children of the container's init process: the service. This command is not one of them. */
function servicePids(): number[] {
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  return pids.map(Number).filter((pid) => parentOf(pid) === 1);
}

function parentOf(pid: number): number | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return Number(stat.slice(stat.lastIndexOf(')')).split(' ')[2]); // ") STATE PARENT": the name may contain anything
  } catch {
    return undefined; // the process has ended
  }
}

if (import.meta.main) {
  const [origin = ''] = process.argv.slice(2);
  const found = await checkContainer(asking(origin));
  process.stdout.write(`${found}\n`);
  if (found === 'hangs') for (const pid of servicePids()) process.kill(pid, 'SIGKILL');
  process.exit(found === 'ready' ? 0 : 1);
}
