/** A name may differ in two letters from a setting whose name is longer than this, and in one letter from others. */
const LONG = 12;
/** A setting with a shorter name must match exactly, except case and separators: other programs have short names. */
const SHORT = 6;

/** Returns the setting that was probably meant: its name differs in a letter or two, or in case and separators. */
export function nearMiss(name: string, known: readonly string[]): string | undefined {
  return known.find((candidate) => {
    if (plain(name) === plain(candidate)) return true;
    if (candidate.length < SHORT) return false;
    return isWithin(plain(name), plain(candidate), candidate.length > LONG ? 2 : 1);
  });
}

function plain(name: string): string {
  return name.toUpperCase().replace(/[^A-Z0-9]/g, '');
}

/** Whether `edits` edits can make `a` equal to `b`: a letter added, removed or replaced, or neighbours exchanged. */
function isWithin(a: string, b: string, edits: number): boolean {
  if (a === b) return true;
  if (edits === 0 || Math.abs(a.length - b.length) > edits) return false;
  let at = 0;
  while (a[at] === b[at]) at += 1;
  const [restA, restB] = [a.slice(at), b.slice(at)];
  const isExchanged = restA[0] === restB[1] && restA[1] === restB[0];
  return (
    isWithin(restA.slice(1), restB, edits - 1) ||
    isWithin(restA, restB.slice(1), edits - 1) ||
    isWithin(restA.slice(1), restB.slice(1), edits - 1) ||
    (isExchanged && isWithin(restA.slice(2), restB.slice(2), edits - 1))
  );
}
