import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, renameSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { ReadableError } from '../../src/process.ts';
import { requireProgram } from '../programs.ts';

const SUITE = 'trixie';
/** The packages of the engine, of `docker top` (procps), and of the programs in the stand-ins for images. */
const PACKAGES =
  'docker.io,docker-cli,docker-compose,docker-buildx,procps,tini,ca-certificates,' +
  'haproxy,redis-server,redis-tools,postgresql-client,libatomic1';
const CACHE = fileURLToPath(new URL('../../node_modules/.drill/', import.meta.url));

/** Returns a tar file of a Debian with a Docker engine, Compose and the servers. Makes it once, from packages. */
export function debianTar(say: (line: string) => void): string {
  const edition = createHash('sha256').update(PACKAGES).digest('hex').slice(0, 8);
  const tar = `${CACHE}${SUITE}-${edition}.tar`;
  if (existsSync(tar)) return tar;
  const program = requireProgram('mmdebstrap');
  say(`Making a Debian ${SUITE} with Docker from Debian's packages, once (some minutes) …`);
  mkdirSync(CACHE, { recursive: true });
  const partial = `${CACHE}partial.tar`;
  const options = ['--variant=minbase', '--mode=root', '--quiet', `--include=${PACKAGES}`];
  const keep = ['--aptopt=APT::Install-Recommends "false"', '--aptopt=Acquire::Languages "none"'];
  const { status, stderr } = spawnSync(program, [...options, ...keep, SUITE, partial], {
    encoding: 'utf8',
  });
  const lastLine = (stderr ?? '').trim().split('\n').at(-1);
  if (status !== 0) throw new ReadableError(`mmdebstrap could not make a Debian: ${lastLine}`);
  renameSync(partial, tar);
  return tar;
}
