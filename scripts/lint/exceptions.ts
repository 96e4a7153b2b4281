/** A finding that is right to keep. The path of a folder ends in a slash and stands for all that is in it. */
export type Exception = { rule: string; path: string; reason: string };

const TEST_SERVERS = 'the servers of a test run are named by variables that the run itself sets';

export const exceptions: Exception[] = [
  { rule: 'process-env', path: 'src/config.ts', reason: 'the one place that reads settings' },
  { rule: 'process-env', path: 'test/support/', reason: TEST_SERVERS },
  { rule: 'process-env', path: 'chaos/mutations.ts', reason: TEST_SERVERS },
  {
    rule: 'process-env',
    path: 'bench/audit-at-scale.ts',
    reason: 'hands its own environment on to the audit',
  },
  {
    rule: 'process-env',
    path: 'bench/process.ts',
    reason: 'starts a program with a PATH and no more',
  },
  {
    rule: 'process-env',
    path: 'bench/peers/serving.ts',
    reason: 'a peer has no settings but these',
  },
  {
    rule: 'process-env',
    path: 'bench/ops-at-scale.ts',
    reason: 'sizes of the bench, not settings of the service',
  },
  { rule: 'columns', path: 'bench/README.md', reason: 'npm run bench report writes long lines' },
  { rule: 'plain-words', path: 'scripts/lint/words.ts', reason: 'lists the words' },
  { rule: 'plain-words', path: 'scripts/lint/words.test.ts', reason: 'samples' },
  { rule: 'unfinished', path: 'scripts/lint/hygiene.ts', reason: 'lists the words' },
  { rule: 'unfinished', path: 'scripts/lint/hygiene.test.ts', reason: 'samples' },
  { rule: 'sleep', path: 'scripts/lint/tests.test.ts', reason: 'samples' },
  { rule: 'outside', path: 'scripts/lint/hygiene.test.ts', reason: 'samples' },
  {
    rule: 'select-star',
    path: 'sql/apply_grants.sql',
    reason: 'compares two views whose columns are the same by construction',
  },
  {
    rule: 'select-star',
    path: 'sql/functions/place_orders.sql',
    reason: 'takes one whole row of orders, of which each column is then named',
  },
  {
    rule: 'select-star',
    path: 'sql/ops/pause_queue.sql',
    reason: 'into a variable of the type of the row',
  },
];
