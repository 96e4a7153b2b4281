/*
 * Postgres refuses to run as root. When this process is root, Postgres runs as user postgres and has none of root's
 * rights: no capability, no group, and no way to get one back by executing another program. (Without the program
 * setpriv, that last way stays; see `launchAs`.)
 */
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { ReadableError } from '../process.ts';
import { endingWithParent, hasSetpriv, type Command } from './server-process.ts';

const USER = 'postgres';
const CAP_SETPCAP = 8n; // capabilities(7)

/** A user of this machine. */
export type Account = { uid: number; gid: number };

/** A command, and the user to start it as: undefined when the command itself changes the user, or no change is due. */
type Launch = { command: Command; as: Account | undefined };

/** The user that Postgres runs as, created if necessary. Undefined when it runs as the user of this process. */
export function postgresAccount(): Account | undefined {
  if (process.getuid?.() !== 0) return undefined;
  const found = lookUp(USER);
  if (found) return found;
  const { status, stderr, error } = spawnSync('useradd', ['--system', USER], { encoding: 'utf8' });
  const made = status === 0 ? lookUp(USER) : undefined;
  if (made) return made;
  throw new ReadableError(
    `User ${USER} cannot be created; set DATABASE_URL (${error?.message ?? stderr.trim()})`,
  );
}

function lookUp(user: string): Account | undefined {
  const [uid, gid] = ['-u', '-g'].map((flag) =>
    spawnSync('id', [flag, user], { encoding: 'utf8' }),
  );
  if (uid?.status !== 0 || gid?.status !== 0) return undefined;
  return { uid: Number(uid.stdout), gid: Number(gid.stdout) };
}

/**
 * How to start a program as an account, without root's rights. The program ends when this process ends. Without
 * setpriv, the program goes on, and keeps the bounding set: the change of user removes only capabilities and groups.
 */
export function launchAs(account: Account | undefined, program: string, args: string[]): Launch {
  if (account && hasSetpriv) {
    const flags = [...withoutRights(account), '--pdeathsig', 'INT'];
    return { command: ['setpriv', ...flags, '--', program, ...args], as: undefined };
  }
  const [first = program, ...rest] = [...endingWithParent('INT'), program, ...args];
  return { command: [first, ...rest], as: account };
}

function withoutRights({ uid, gid }: Account): string[] {
  return [
    ['--reuid', String(uid), '--regid', String(gid), '--clear-groups'],
    ['--inh-caps=-all', '--ambient-caps=-all', '--no-new-privs'],
    mayDropBoundingSet() ? ['--bounding-set=-all'] : [],
  ].flat();
}

/** Whether this process may drop its bounding set. Root in a container may lack that right. */
function mayDropBoundingSet(): boolean {
  const status = existsSync('/proc/self/status') ? readFileSync('/proc/self/status', 'utf8') : '';
  const effective = BigInt(`0x${/^CapEff:\s*(\w+)/m.exec(status)?.[1] ?? '0'}`);
  return ((effective >> CAP_SETPCAP) & 1n) === 1n;
}
