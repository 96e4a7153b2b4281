import { sql } from 'slonik';
import { z } from 'zod';
import { signUp, test } from '../../test/support/context.ts';

// Sent with exactly these characters, because JSON.stringify would write some amounts in another way.
const accepted: [amount: string, currency: string, stored: string][] = [
  ['99', 'USD', '99.00'],
  ['99.0', 'USD', '99.00'],
  ['0.30', 'USD', '0.30'],
  ['"0.30"', 'USD', '0.30'],
  ['"0.3"', 'USD', '0.30'],
  ['1.5e1', 'USD', '15.00'],
  ['1E+2', 'USD', '100.00'],
  ['0.01', 'USD', '0.01'],
  ['"1.500000"', 'USD', '1.50'],
  ['150', 'JPY', '150'],
  ['150.00', 'JPY', '150'],
  ['1.234', 'BHD', '1.234'],
  ['"0.001"', 'KWD', '0.001'],
  ['0.0001', 'CLF', '0.0001'],
  ['"999999999999.99"', 'USD', '999999999999.99'],
  ['999999999999.99', 'USD', '999999999999.99'],
  ['"999999999999.9999"', 'CLF', '999999999999.9999'],
];

test('an amount is stored exactly, and shown with the decimals of its currency', async (t) => {
  const user = await signUp(t.context);

  for (const [amount, currency, stored] of accepted) {
    const body = `{"product_name": "Kettle", "amount": ${amount}, "currency": "${currency}"}`;
    const placed = await user.request('POST', '/orders', body);
    t.is(placed.status, 201, body);
    t.like(placed.body, { amount: stored, currency }, body);

    const found = await user.request('GET', `/orders/${placed.body.id}`);
    t.is(found.body.amount, stored);
    const Row = z.object({ amount: z.string() });
    const row = await t.context.deps.pool.one(sql.type(Row)`
      SELECT amount::text FROM orders WHERE id = ${placed.body.id}
    `);
    t.is(row.amount, stored);
  }
});

test('a product name may have characters of any script, punctuation, emoji and control characters', async (t) => {
  const user = await signUp(t.context);

  for (const product_name of [
    'x',
    'x'.repeat(200),
    'Çaydanlık № 7 — 茶壶 🫖 / إبريق',
    '👩‍👩‍👧‍👦'.repeat(18),
    "Robert'); DROP TABLE orders;--",
    '<script>alert(1)</script>',
    '  spaces are kept  ',
    'line\nbreak\tand tab',
    '\u0001\u001f\u007f\u0085x',
    '\\u0000 is not NUL here',
    '$1 {} %s \\',
  ]) {
    const placed = await user.request('POST', '/orders', { product_name, amount: 1 });
    t.is(placed.status, 201, product_name);
    const found = await user.request('GET', `/orders/${placed.body.id}`);
    t.is(found.body.product_name, product_name);
  }
});

test('a name of one invisible character is accepted or refused, and never fails in the database', async (t) => {
  const user = await signUp(t.context);

  // Characters that are white space or invisible by some standard.
  const invisible = [
    [0x7f, 0x85, 0xa0, 0xad, 0x1680, 0x180e, 0x2028, 0x2029, 0x202f, 0x205f, 0x2060, 0x3000],
    [0x3164, 0xfeff, 0xfffd],
    Array.from({ length: 0x20 }, (_, code) => code + 1),
    Array.from({ length: 16 }, (_, code) => 0x2000 + code),
  ].flat();
  for (const code of invisible) {
    const product_name = String.fromCodePoint(code);
    const { status } = await user.request('POST', '/orders', { product_name, amount: 1 });
    t.true([201, 422].includes(status), `${status} for U+${code.toString(16)}`);
  }
});

test('metadata is returned as it was sent', async (t) => {
  const user = await signUp(t.context);

  for (const metadata of [
    {},
    { gift: true, note: null, list: [1, 'two', [3]], deep: { er: { est: '🎁' } } },
    { '': 'empty name', 'a/b': 1, ünïcode: 'ß', toString: 'x', constructor: { name: 'y' } },
    { number: 0.1, large: 9007199254740991, tiny: 1e-300, negative: -1.5, big: 1e21 },
    { text: 'x'.repeat(4000) },
    { long_as_text: Array.from({ length: 13 }, () => 1e308) },
    { zebra: 1, apple: 2 },
  ]) {
    const placed = await user.request('POST', '/orders', {
      product_name: 'Kettle',
      amount: 1,
      metadata,
    });
    t.is(placed.status, 201);
    const found = await user.request('GET', `/orders/${placed.body.id}`);
    t.deepEqual(found.body.metadata, metadata);
  }
});
