import test from 'ava';
import { printable } from './printable.ts';

test('a text from outside keeps its letters, and loses what controls a terminal', (t) => {
  t.is(printable('Grüße\t\r\n  日本 👍', 100), 'Grüße 日本 👍');
  t.is(printable('\u001b[2Jred\u0007', 100), '\\u001b[2Jred\\u0007');
  t.is(printable('\u202eabc\u009b\u007f', 100), '\\u202eabc\\u009b\\u007f');
  t.is(printable('half \ud800', 100), 'half \\ud800');
  t.is(printable('nul \0', 100), 'nul \\u0000');
  t.is(printable('tag \u{e0041}', 100), 'tag \\U000e0041');
});

test('a text from outside is never longer than its limit, and is not cut within a character', (t) => {
  t.is(printable('x'.repeat(1000), 301), 'x'.repeat(301));
  t.is(printable('\u001b'.repeat(1000), 301), '\\u001b'.repeat(50));
  t.is(printable('👍'.repeat(1000), 301), '👍'.repeat(150));
  t.is(printable(`a${' '.repeat(20)}👍`, 22), 'a ');
});
