/** An accepted finding. A path with a final slash covers the whole folder. */
export type Exception = { rule: string; path: string; reason: string };

const TEST_SERVERS = 'variables that the test run sets have the addresses of its servers';

export const exceptions: Exception[] = [
  { rule: 'process-env', path: 'src/config/load.ts', reason: 'reads all settings' },
  { rule: 'process-env', path: 'test/support/', reason: TEST_SERVERS },
  { rule: 'process-env', path: 'chaos/mutations.ts', reason: TEST_SERVERS },
  {
    rule: 'process-env',
    path: 'bench/audit-at-scale.ts',
    reason: 'passes its environment to the audit',
  },
  {
    rule: 'process-env',
    path: 'bench/process.ts',
    reason: 'passes PATH to the processes that it starts',
  },
  {
    rule: 'process-env',
    path: 'bench/peers/serving.ts',
    reason: 'a peer does not use src/config.ts',
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
    reason: 'compares two views that have the same columns',
  },
  {
    rule: 'select-star',
    path: 'sql/functions/place_orders.sql',
    reason: 'reads a whole row of orders, and then names each column',
  },
  {
    rule: 'select-star',
    path: 'sql/ops/pause_queue.sql',
    reason: 'reads a row into a variable of the type of the row',
  },
];
