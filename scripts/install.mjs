// node scripts/install.mjs KIND: runs before every npm script, under whatever Node the machine has. Installs what this
// kind of command needs and is not there yet, and says so: packages, a Node that is new enough, the viewer of /docs.
import { installPackages, linkPostgresLibraries } from './packages.mjs';
import { provideNode } from './node.mjs';
import { provideViewer } from './viewer.mjs';

/** What each kind of command needs besides the packages of the service itself. */
const KINDS = {
  service: {},
  tests: { forDevelopment: true },
  bench: { forBench: true },
  check: { forDevelopment: true, forBench: true },
};

const kind = process.argv[2];
try {
  const needs = KINDS[kind];
  if (!needs) throw new Error(`Usage: node scripts/install.mjs ${Object.keys(KINDS).join('|')}`);
  installPackages(needs);
  provideNode();
  linkPostgresLibraries();
  provideViewer();
} catch (error) {
  console.error(error.message);
  process.exitCode = 1;
}
