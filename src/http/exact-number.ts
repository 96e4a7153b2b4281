/**
 * Whether a number equals the JSON text that it was parsed from. False for 1e309 and for 0.10000000000000000001. The
 * time is proportional to the length of the text, even for a body full of zeros.
 */
export function isExact(value: number, source: string): boolean {
  const parsed = String(value);
  return source === parsed || canonical(source) === canonical(parsed);
}

/** Sign, digits without leading or trailing zeros, and power of ten: `-1.50e1` → `-15e0`. */
function canonical(number: string): string {
  const [, sign = '', integer = '', fraction = '', exponent = '0'] =
    /^(-?)(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d+))?$/.exec(number) ?? [];
  const digits = integer + fraction;
  const end = endOfDigits(digits);
  if (end === 0) return '0';
  const power = Number(exponent) - fraction.length + (digits.length - end);
  return `${sign}${digits.slice(0, end).replace(/^0+/, '')}e${power}`;
}

// Not replace(/0+$/, ''): it starts a new attempt at each zero, which takes quadratic time for 1000…0001.
function endOfDigits(digits: string): number {
  let end = digits.length;
  while (end > 0 && digits[end - 1] === '0') end -= 1;
  return end;
}
