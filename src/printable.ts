/** Invisible characters: control characters, marks of direction, separators of lines, halves of surrogate pairs. */
const UNPRINTABLE = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu;

/**
 * Makes a text from outside fit for the trail, logs and terminals. Each run of white space becomes one space, and each
 * other invisible character its number, such as \u001b. The result has at most `lengthMax` characters.
 */
export function printable(text: string, lengthMax: number): string {
  let shown = '';
  for (const character of beginning(text, lengthMax).replaceAll(/\s+/g, ' ')) {
    const piece = escapeUnprintable(character);
    if (shown.length + piece.length > lengthMax) break; // a number is never cut
    shown += piece;
  }
  return shown;
}

/** The first characters of a text, without the half of a surrogate pair that the cut leaves. */
function beginning(text: string, lengthMax: number): string {
  return text.length > lengthMax ? text.slice(0, lengthMax).replace(/[\ud800-\udbff]$/, '') : text;
}

/** Replaces each invisible character with its number. */
export function escapeUnprintable(text: string): string {
  return text.replaceAll(UNPRINTABLE, (character) => {
    const number = character.codePointAt(0) ?? 0;
    return number > 0xffff
      ? `\\U${number.toString(16).padStart(8, '0')}`
      : `\\u${number.toString(16).padStart(4, '0')}`;
  });
}
