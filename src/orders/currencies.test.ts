import { sql } from 'slonik';
import { z } from 'zod';
import { test } from '../../test/support/context.ts';
import { currencies, currenciesOn } from './currencies.ts';

const DAY = '2026-12-01';
const NO_CURRENCY = 'X'.repeat(3);

test('a currency is known while a territory uses it', (t) => {
  const known = currenciesOn(DAY);

  // New in 2025 and 2024.
  t.deepEqual([known.get('XCG'), known.get('ZWG')], [2, 2]);
  // Withdrawn: the Antillean guilder, the lev, the kuna, and the Cuban convertible peso.
  for (const code of ['ANG', 'BGN', 'HRK', 'CUC']) t.false(known.has(code), code);
  // A metal, a unit of the IMF, a test code, the code for no currency, one that ISO 4217 does not know, an unused one.
  const unknown = ['XAU', 'XDR', 'XTS', NO_CURRENCY, 'CNH', 'ABC'];
  for (const code of unknown) t.false(known.has(code), code);
  t.true(currenciesOn('2025-12-01').has('BGN'));
});

test('a currency has the decimals of ISO 4217', (t) => {
  const known = currenciesOn(DAY);

  const some = { JPY: 0, USD: 2, HUF: 2, IQD: 3, KWD: 3, UGX: 0, XPF: 0, CLF: 4 };
  for (const [code, decimals] of Object.entries(some)) t.is(known.get(code), decimals, code);
});

test('migrate writes the currencies of this version into the database', async (t) => {
  const { deps } = t.context;

  const rows = await deps.pool.any(sql.type(z.object({ code: z.string(), decimals: z.int() }))`
    SELECT code, decimals FROM currencies
  `);

  t.deepEqual(new Map(rows.map(({ code, decimals }) => [code, decimals])), new Map(currencies));
});
