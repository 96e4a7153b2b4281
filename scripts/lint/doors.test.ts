import test from 'ava';
import { broken } from './broken.ts';

test('no code of the services sends a job through pg-boss', (t) => {
  const send = "await deps.boss.send('prune', {});\n";

  t.deepEqual(broken('src/orders/a.ts', send), ['enqueue:1']);
  t.deepEqual(broken('jobs/a.ts', "await boss.insert('audit', [job]);\n"), ['enqueue:1']);
  t.deepEqual(broken('src/orders/a.test.ts', send), []);
  t.deepEqual(broken('src/orders/a.ts', '// boss.send() is not transactional\n'), []);
});

test('only functions in sql/ write to the queue', (t) => {
  const write = 'await tx.query(sql`\n  UPDATE pgboss.job SET priority = 1`);\n';

  t.deepEqual(broken('src/queue/a.ts', write), ['job-write:2']);
  t.deepEqual(broken('src/queue/a.ts', 'sql`INSERT INTO pgboss.job_common`;\n'), ['job-write:1']);
  t.deepEqual(broken('src/queue/a.ts', 'sql`SELECT id FROM pgboss.job`;\n'), []);
  t.deepEqual(broken('sql/functions/a.sql', '-- Does this.\nDELETE FROM pgboss.job;\n'), []);
});

test('only functions in sql/ write orders, their events and their keys', (t) => {
  for (const write of [
    'INSERT INTO orders',
    'UPDATE ONLY orders',
    'DELETE FROM idempotency_keys',
  ]) {
    t.deepEqual(broken('src/orders/a.ts', `sql\`${write} …\`;\n`), ['order-write:1']);
  }
  t.deepEqual(broken('src/orders/a.ts', 'sql`SELECT id FROM orders FOR UPDATE`;\n'), []);
  t.deepEqual(broken('test/sql/a.ts', 'sql`DELETE FROM orders`;\n'), []);
});

test('only src/config.ts reads settings', (t) => {
  t.deepEqual(broken('src/a.ts', 'call(process.env.PORT);\n'), ['process-env:1']);
  t.deepEqual(broken('test/a.test.ts', 'const { PATH } = process.env;\n'), ['process-env:1']);
  t.deepEqual(broken('src/a.ts', '// not from process.env\ncall(config.PORT);\n'), []);
});

test('no code depends on NODE_ENV', (t) => {
  t.deepEqual(broken('src/a.ts', "if (config.NODE_ENV === 'test') call();\n"), ['node-env:1']);
  t.deepEqual(broken('src/a.ts', "if (config.LOG_LEVEL === 'info') call();\n"), []);
});
