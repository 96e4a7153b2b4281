/*
 * Postgres refuses to run as root. When we are root it runs as user postgres, without any right that root
 * has: no capability, no group, and no way to get one back by executing another program.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { ReadableError } from '../process.ts';
import { dyingWithUs, hasSetpriv, type Command } from './server-process.ts';

const USER = 'postgres';
const CAP_SETPCAP = 8n; // capabilities(7)

/** A user of this machine. */
export type Account = { uid: number; gid: number };

/** A command, and as whom to start it unless the command itself sees to that. */
export type Launch = { command: Command; as: Account | undefined };

/** Who Postgres runs as when we are root: made if need be. Undefined when it runs as ourselves. */
export function postgresAccount(): Account | undefined {
  if (process.getuid?.() !== 0) return undefined;
  const found = lookUp(USER);
  if (found) return found;
  const { status, stderr, error } = spawnSync('useradd', ['--system', USER], { encoding: 'utf8' });
  const made = status === 0 ? lookUp(USER) : undefined;
  if (made) return made;
  throw new ReadableError(
    `user ${USER} cannot be created, set DATABASE_URL: ${error?.message ?? stderr.trim()}`,
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
 * How to start a program that ends when we do: as an account, with none of root's rights. Without setpriv,
 * changing the user takes the capabilities and the groups too, but leaves the bounding set.
 */
export function launchAs(account: Account | undefined, program: string, args: string[]): Launch {
  if (account && hasSetpriv) {
    const flags = [...withoutRights(account), '--pdeathsig', 'INT'];
    return { command: ['setpriv', ...flags, '--', program, ...args], as: undefined };
  }
  const [first = program, ...rest] = [...dyingWithUs('INT'), program, ...args];
  return { command: [first, ...rest], as: account };
}

function withoutRights({ uid, gid }: Account): string[] {
  return [
    ['--reuid', String(uid), '--regid', String(gid), '--clear-groups'],
    ['--inh-caps=-all', '--ambient-caps=-all', '--no-new-privs'],
    mayDropBoundingSet() ? ['--bounding-set=-all'] : [],
  ].flat();
}

/** Root in a container may lack the right to. */
function mayDropBoundingSet(): boolean {
  const status = existsSync('/proc/self/status') ? readFileSync('/proc/self/status', 'utf8') : '';
  const effective = BigInt(`0x${/^CapEff:\s*(\w+)/m.exec(status)?.[1] ?? '0'}`);
  return ((effective >> CAP_SETPCAP) & 1n) === 1n;
}
