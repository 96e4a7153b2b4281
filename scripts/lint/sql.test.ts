import test from 'ava';
import { broken } from './broken.ts';

const HEAD = '-- Does this.\n';
const MIGRATION_HEAD = '-- Adds this.\n--\n-- Locks: creates new objects only.\n';
const table = (rule: string) => `${MIGRATION_HEAD}CREATE TABLE orders (\n  ${rule}\n);\n`;

test('a star instead of a list of columns is refused', (t) => {
  t.deepEqual(broken('sql/ops/a.sql', `${HEAD}SELECT * FROM orders;\n`), ['select-star:2']);
  t.deepEqual(broken('src/a.ts', 'sql`DELETE FROM a RETURNING *`;\n'), ['select-star:1']);
  t.deepEqual(broken('sql/ops/a.sql', `${HEAD}SELECT count(*) FROM orders;\n`), []);
  t.deepEqual(broken('sql/ops/a.sql', `${HEAD}-- psql: SELECT * FROM ops.jobs;\n`), []);
});

test('a SQL file begins with a comment', (t) => {
  t.deepEqual(broken('sql/ops/a.sql', `${HEAD}SELECT 1;\n`), []);
  t.deepEqual(broken('sql/ops/a.sql', `SELECT 1;\n${HEAD}`), ['sql-head:1']);
});

test('what the database keeps of a SQL file is ASCII', (t) => {
  t.deepEqual(broken('sql/ops/a.sql', `-- A → B.\nSELECT 1;\n`), []);
  t.deepEqual(broken('sql/ops/a.sql', `${HEAD}SELECT 'A → B';\n`), ['sql-ascii:2']);
  t.deepEqual(broken('sql/ops/a.sql', `${HEAD}SELECT $$\n  -- A → B\n$$;\n`), ['sql-ascii:3']);
});

test('the head comment of a migration lists its locks', (t) => {
  const statement = 'CREATE INDEX orders_user_ix ON orders (user_id);\n';

  t.deepEqual(broken('sql/migrations/0001_a.sql', MIGRATION_HEAD + statement), []);
  t.deepEqual(broken('sql/migrations/0001_a.sql', HEAD + statement), ['migration-locks:1']);
});

test('a constraint has a name that ends in its kind', (t) => {
  const good = [
    'CONSTRAINT orders_pk PRIMARY KEY (id)',
    'CONSTRAINT orders_user_fk\n    FOREIGN KEY (user_id) REFERENCES users (id)',
    "CONSTRAINT orders_amount_ck CHECK (amount > 0 AND note <> 'CHECK')",
    'id uuid NOT NULL',
  ];
  const bad = [
    'id uuid PRIMARY KEY',
    'user_id uuid REFERENCES users (id)',
    'CHECK (amount > 0)',
    'CONSTRAINT positive CHECK (amount > 0)',
    'UNIQUE (user_id, key)',
  ];

  for (const rule of good) t.deepEqual(broken('sql/migrations/0001_a.sql', table(rule)), [], rule);
  for (const rule of bad) {
    t.deepEqual(broken('sql/migrations/0001_a.sql', table(rule)), ['constraint-name:5'], rule);
  }
  const index = `${MIGRATION_HEAD}CREATE UNIQUE INDEX users_email_uq ON users (lower(email));\n`;
  t.deepEqual(broken('sql/migrations/0001_a.sql', index), []);
});
