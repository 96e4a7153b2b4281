import test from 'ava';
import { broken } from './broken.ts';

const climb = (steps: number) => `import { a } from '${'../'.repeat(steps)}b.ts';\n`;

test('TODO and FIXME are refused', (t) => {
  t.deepEqual(broken('src/a.ts', 'call(); // TODO: handle errors\n'), ['unfinished:1']);
  t.deepEqual(broken('docs/a.md', 'One.\n\nFIXME\n'), ['unfinished:3']);
  t.deepEqual(broken('src/a.ts', 'call(); // handles errors\n'), []);
});

test('an empty catch needs a comment', (t) => {
  for (const swallowed of [
    'try { a(); } catch {}',
    'try { a(); } catch (error) {\n}',
    'b.catch(() => {})',
  ]) {
    t.deepEqual(broken('src/a.ts', `${swallowed}\n`), ['empty-catch:1']);
  }
  t.deepEqual(broken('src/a.ts', 'try { a(); } catch {\n  // it has ended\n}\n'), []);
});

test('vague names of files and folders are refused', (t) => {
  for (const path of ['src/utils.ts', 'src/orders/helper.ts', 'src/lib/amount.ts']) {
    t.deepEqual(broken(path, 'call();\n'), ['vague-name:1']);
  }
  t.deepEqual(broken('src/orders/amount.ts', 'call();\n'), []);
});

test('paths outside the repository are refused', (t) => {
  t.deepEqual(broken('src/orders/a.ts', climb(2)), []);
  t.deepEqual(broken('src/orders/a.ts', climb(3)), ['outside:1']);
  t.deepEqual(broken('README.md', `see ${climb(1)}`), ['outside:1']);
  t.deepEqual(broken('.ci/run', 'cd /home/ada/project\n'), ['outside:1']);
  t.deepEqual(broken('Dockerfile', 'WORKDIR /app\n'), []);
});
