import test from 'ava';
import { broken } from './broken.ts';

const aTest = (body: string) => `test('it works', async (t) => {\n  ${body}\n});\n`;

test('each test asserts', (t) => {
  t.deepEqual(broken('src/a.test.ts', aTest('t.is(await call(), 1);')), []);
  t.deepEqual(broken('src/a.test.ts', aTest('await call(t.context);')), ['assertion:1']);
  t.deepEqual(broken('src/a.test.ts', aTest("t.log('t.is(1, 1)'); // t.is(1, 1)")), [
    'assertion:1',
  ]);
});

test('each test of a file is checked, also one in a loop or over several lines', (t) => {
  const loop = `for (const a of all) {\n  test.serial(\n    \`\${a} (works)\`,\n    (t) => call(t, a),\n  );\n}\n`;

  t.deepEqual(broken('src/a.test.ts', aTest('t.true(a);') + loop), ['assertion:5']);
});

test('t.pass() is refused', (t) => {
  t.deepEqual(broken('src/a.test.ts', aTest('t.is(a, 1); t.pass();')), ['t-pass:2']);
});

test('a test that is skipped or runs alone is refused', (t) => {
  for (const way of ['skip', 'only', 'todo', 'failing', 'serial.only']) {
    const sample = `test.${way}('it works', (t) => t.is(a, 1));\n`;

    t.deepEqual(broken('src/a.test.ts', sample), ['left-out-test:1']);
  }
  t.deepEqual(broken('src/a.test.ts', "test.serial('it works', (t) => t.is(a, 1));\n"), []);
});

test('a test that sleeps is refused', (t) => {
  const timers = "import { setTimeout } from 'node:timers/promises';\n";
  const promise = 'await new Promise((resolve) => setTimeout(resolve, 100));\n';

  t.deepEqual(broken('src/a.test.ts', timers), ['sleep:1']);
  t.deepEqual(broken('src/a.test.ts', promise), ['sleep:1']);
  t.deepEqual(broken('src/a.ts', timers), []);
  t.deepEqual(broken('src/a.test.ts', "await until('the order', isThere);\n"), []);
});
