/**
 * Whether a number means the same as the JSON text that it was parsed from. False for 1e309 and for
 * 0.10000000000000000001. Takes time in proportion to the text, also for a body full of zeros.
 */
export function isExact(value: number, source: string): boolean {
  const parsed = String(value);
  return source === parsed || canonical(source) === canonical(parsed);
}

/** `-1.50e1` → `-15e0`: sign, digits without zeros at either end, power of ten. */
function canonical(number: string): string {
  const [, sign = '', integer = '', fraction = '', exponent = '0'] =
    /^(-?)(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d+))?$/.exec(number) ?? [];
  const digits = integer + fraction;
  const end = endOfDigits(digits);
  if (end === 0) return '0';
  const power = Number(exponent) - fraction.length + (digits.length - end);
  return `${sign}${digits.slice(0, end).replace(/^0+/, '')}e${power}`;
}

// Not replace(/0+$/, ''): that starts anew at each zero, which is quadratic for 1000…0001.
function endOfDigits(digits: string): number {
  let end = digits.length;
  while (end > 0 && digits[end - 1] === '0') end -= 1;
  return end;
}
