/*
 * Part of `npm run check`: the project's own rules, which tsc, oxlint and prettier do not check. Reads each file that
 * git does not ignore, and prints each place that breaks a rule. The exit code is 1 when there is such a place.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { exceptions } from './exceptions.ts';
import { lint } from './lint.ts';
import { readSource } from './source.ts';

/** Files that are generated, or that must stay unchanged. */
const NOT_OURS =
  /(^|\/)package-lock\.json$|^LICENSE$|\.svg$|postman_collection\.json$|^test\/support\/seed\//;

const listed = execFileSync(
  'git',
  ['ls-files', '-z', '--cached', '--others', '--exclude-standard'],
  {
    encoding: 'utf8',
  },
);
const paths = [...new Set(listed.split('\0'))].filter(
  (path) => path && !NOT_OURS.test(path) && existsSync(path),
);
const findings = lint(
  paths.map((path) => readSource(path, readFileSync(path, 'utf8'))),
  exceptions,
);
for (const { path, line, rule, advice } of findings) {
  process.stdout.write(`${path}:${line} ${rule}: ${advice}\n`);
}
if (findings.length > 0) {
  process.stdout.write(
    `Places that break a rule: ${findings.length}. Each rule is in scripts/lint.\n`,
  );
  process.exitCode = 1;
}
