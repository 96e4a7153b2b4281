/** Control characters, marks of direction and other invisible ones, separators of lines, halves of surrogate pairs. */
const UNPRINTABLE = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu;

/**
 * Makes a text from outside fit for the trail, logs and terminals: white space becomes one space, every character that
 * cannot be seen becomes its number (\u001b), and the text has at most `lengthMax` characters.
 */
export function printable(text: string, lengthMax: number): string {
  let shown = '';
  for (const character of text.slice(0, lengthMax).replaceAll(/\s+/g, ' ')) {
    const piece = escapeUnprintable(character);
    if (shown.length + piece.length > lengthMax) break; // never half a number
    shown += piece;
  }
  return shown;
}

/** Replaces every character that cannot be seen by its number. */
export function escapeUnprintable(text: string): string {
  return text.replaceAll(UNPRINTABLE, (character) => {
    const number = character.codePointAt(0) ?? 0;
    return number > 0xffff
      ? `\\U${number.toString(16).padStart(8, '0')}`
      : `\\u${number.toString(16).padStart(4, '0')}`;
  });
}
