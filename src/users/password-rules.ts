/*
 * What a password may be. NIST SP 800-63B 3.1.1.2: no rules about kinds of characters, but a list of passwords that
 * attackers try first.
 */
import { dictionary } from '@zxcvbn-ts/language-common';

/** The passwords that leaks contain most often, in lower case. */
const COMMON = new Set(dictionary['passwords-common']);

/**
 * The form of a password that is hashed: RFC 8265 4.2.2 (OpaqueString). The same password typed on two systems can
 * arrive in two encodings, for instance é as one character or as e with an accent. Both get the same hash.
 */
export function opaqueString(password: string): string {
  return password.replaceAll(/\p{Zs}/gu, ' ').normalize('NFC');
}

/**
 * Why a password is among the first guesses of an attacker, or null. `known` is what strangers know about the account,
 * such as its address.
 */
export function guessable(password: string, known: readonly string[] = []): string | null {
  const folded = fold(password);
  if (COMMON.has(folded)) return 'is one of the most common passwords';
  if (isSequence(folded)) return 'must not be one character repeated, or characters in a row';
  const isKnown = known.some((word) => folded === fold(word));
  return isKnown ? 'must not be your name or your email address' : null;
}

function fold(text: string): string {
  return opaqueString(text).toLowerCase();
}

/** Whether each character follows the one before by the same step of -1, 0 or 1: aaaaaa, abcdef, 654321. */
function isSequence(text: string): boolean {
  const codes = Array.from(text, (character) => character.codePointAt(0) ?? 0);
  const step = (codes[1] ?? 0) - (codes[0] ?? 0);
  const isSteady = codes.every((code, at) => at === 0 || code - (codes[at - 1] ?? 0) === step);
  return Math.abs(step) <= 1 && isSteady;
}
