// node scripts/install.mjs KIND: runs before every npm script, with the machine's Node. Installs what this kind of
// command needs and what is missing, and prints it: packages, a Node that is new enough, the viewer of /docs.
import { installPackages, linkPostgresLibraries } from './packages.mjs';
import { provideNode } from './node.mjs';
import { provideViewer } from './viewer.mjs';

/** The additional packages for each kind of command. All kinds need the packages of the service. */
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
