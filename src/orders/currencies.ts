import { createRequire } from 'node:module';
import { data as iso4217 } from 'currency-codes';
import { z } from 'zod';

/** The part of CLDR's currencyData.json that is used here: which currencies each territory has had, and until when. */
const CurrencyData = z.object({
  supplemental: z.object({
    currencyData: z.object({
      region: z.record(
        z.string(),
        z.array(
          z.record(
            z.string(),
            z.object({ _to: z.string().optional(), _tender: z.string().optional() }),
          ),
        ),
      ),
    }),
  }),
});

const { region: territories } = CurrencyData.parse(
  createRequire(import.meta.url)('cldr-core/supplemental/currencyData.json'),
).supplemental.currencyData;

/** The codes that CLDR lists for no territory (ZZ): metals, test codes, and the code for no currency. */
const NO_MONEY = new Set((territories['ZZ'] ?? []).flatMap((currency) => Object.keys(currency)));

/** The decimals of a currency that is too new for the list of ISO 4217. Most currencies have 2. */
const DECIMALS_OF_MOST = 2;

/**
 * The decimals of each currency that a territory uses on a day (`2026-12-01`) or later, as money or as a unit of
 * account. CLDR says which currencies these are, and ISO 4217 says how many decimals each has. (CLDR has other decimals
 * for some.)
 */
export function currenciesOn(day: string): ReadonlyMap<string, number> {
  const decimals = new Map(iso4217.map(({ code, digits }) => [code, digits]));
  const codes = Object.values(territories)
    .flatMap((list) => list.flatMap((currency) => Object.entries(currency)))
    .filter(([code, { _to = day }]) => _to >= day && !NO_MONEY.has(code))
    // CLDR also lists a unit of account that ISO 4217 does not know: CNH, the renminbi outside China.
    .filter(([code, { _tender }]) => _tender !== 'false' || decimals.has(code))
    .map(([code]) => code);
  return new Map(codes.map((code) => [code, decimals.get(code) ?? DECIMALS_OF_MOST]));
}

/** The currencies of new orders on the day when this process starts. migrate writes them into table `currencies`. */
export const currencies = currenciesOn(new Date().toISOString().slice(0, 10));
