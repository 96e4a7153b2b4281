import { z } from 'zod';
import { currencies } from './currencies.ts';

/** No amount has more digits before the point. So a double holds each amount with at most 3 decimals exactly. */
const INTEGER_DIGITS_MAX = 12;

export const Currency = z
  .string()
  .refine(
    (code) => currencies.has(code),
    'must be the ISO 4217 code of a currency in use, such as USD',
  )
  .meta({ description: 'ISO 4217 code of a currency in use', example: 'USD' });

// A JSON number that a double cannot hold exactly arrives as NaN (src/http/body.ts) and is refused.
export const AmountInput = z
  .union([z.number().transform(String), z.string().max(40, { abort: true })], {
    error: 'must be a number or a decimal string',
  })
  .refine((text) => /^(0|[1-9]\d*)(\.\d+)?$/.test(text), {
    error: 'must be a plain positive decimal such as 99.50',
    abort: true,
  })
  .refine((text) => /[1-9]/.test(text), 'must be greater than 0')
  .refine((text) => (text.split('.')[0] ?? '').length <= INTEGER_DIGITS_MAX, 'must be below 10^12')
  .meta({ description: "Greater than 0, with at most the currency's decimals", example: '99.50' });

/** Writes an amount with its currency's decimals (`99` USD → `99.00`), or null when it has more. */
export function formatAmount(amount: string, currency: string): string | null {
  const decimals = currencies.get(currency) ?? 0;
  const [integer = '0', fraction = ''] = amount.split('.');
  const significant = fraction.replace(/0+$/, '');
  if (significant.length > decimals) return null;
  return decimals === 0 ? integer : `${integer}.${significant.padEnd(decimals, '0')}`;
}

/** How many decimals a currency has, for messages. */
export function currencyDecimals(currency: string): number {
  return currencies.get(currency) ?? 0;
}
