import test from 'ava';
import { canonicalEmail } from './email.ts';

test('the spellings of one address have one canonical form', (t) => {
  const spellings: Record<string, string[]> = {
    'user@xn--bcher-kva.example': [
      'user@bücher.example',
      'user@bu\u0308cher.example',
      'USER@BÜCHER.EXAMPLE',
      'user@xn--bcher-kva.example',
      'User@XN--BCHER-KVA.example',
      'user@bücher。example',
    ],
    'info@example.test': ['INFO@EXAMPLE.TEST', 'Info@example.test', 'info@EXAMPLE．test'],
    'rené@example.test': [
      'rene\u0301@example.test',
      'RENÉ@example.test',
      'RENE\u0301@EXAMPLE.test',
    ],
    'a@xn--strae-oqa.example': ['a@straße.example'],
    'i\u0307@example.test': ['İ@example.test'],
    'ı@example.test': ['ı@example.test'],
    '用户@xn--fsqu00a.example': ['用户@例子.example'],
    "o'neil+orders@example.test": ["O'Neil+Orders@example.test"],
  };

  for (const [canonical, all] of Object.entries(spellings)) {
    for (const spelling of all) t.is(canonicalEmail(spelling), canonical, spelling);
    t.is(canonicalEmail(canonical), canonical);
  }
});

test('what is not an address has no canonical form', (t) => {
  const refused = [
    ['', '@', 'ada', 'ada@', '@example.test', 'ada@example', 'ada@@example.test'],
    ['.ada@example.test', 'ada.@example.test', 'a..da@example.test', 'a da@example.test'],
    ['"a b"@example.test', 'a\u00a0da@example.test', 'a\u200bda@example.test', 'a\0@example.test'],
    ['\ud800@example.test', 'ada@exa mple.test', 'ada@-example.test', 'ada@exam_ple.test'],
    ['ada@example..test', 'ada@example.test.', 'ada@127.0.0.1', 'ada@[127.0.0.1]', 'ada@0x7f.1'],
    ['ada@example.test/path', 'ada@example.test:80', 'ada@ex%61mple.test', 'ada@exam％ple.test'],
    ['ada@example.123', `${'a'.repeat(65)}@example.test`],
    [`ada@${'a'.repeat(64)}.test`, `ada@${'aaaaaaaaa.'.repeat(25)}test`],
  ].flat();

  for (const address of refused) t.is(canonicalEmail(address), null, address);
});

test('the longest address is counted in octets of its canonical form', (t) => {
  const domain = `${'a'.repeat(63)}.${'b'.repeat(63)}.${'c'.repeat(57)}.d`;

  t.is(canonicalEmail(`${'x'.repeat(64)}@${domain}`)?.length, 252);
  t.is(canonicalEmail(`${'é'.repeat(32)}@${domain}`)?.length, 220);
  t.is(canonicalEmail(`${'é'.repeat(33)}@${domain}`), null);
  t.is(canonicalEmail(`${'x'.repeat(64)}@aaa.${domain}`), null);
});
