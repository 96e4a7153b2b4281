import { domainToASCII } from 'node:url';

const OCTETS_MAX = 254; // RFC 5321 4.5.3.1.3: a path has at most 256, two of which are its brackets
const LOCAL_OCTETS_MAX = 64;

/** The parts of a local part between its dots: RFC 5321 4.1.2 (Atom), with the letters that RFC 6531 3.3 adds. */
const ATOM = /^[\w!#$%&'*+/=?^`{|}~\u{80}-\u{10ffff}-]+$/u;
const INVISIBLE = /[\p{C}\p{Z}]/u;

/** The characters of a domain as people write it. Others, such as % and :, are refused: URL parsers interpret them. */
const DOMAIN = /^[\w.\u{80}-\u{10ffff}-]+$/u;
const ASCII_DOMAIN = /^(?:[a-z\d](?:[a-z\d-]{0,61}[a-z\d])?\.)+[a-z](?:[a-z\d-]{0,61}[a-z\d])?$/;

/**
 * Returns the canonical form of an address, in which it is stored and compared, or null for a text that is not an
 * address. Letters are in lower case by the rules of Unicode, in any locale, and have one encoding (NFC). The domain is
 * in ASCII (UTS #46): bücher.example is xn--bcher-kva.example. The database accepts no other form (domain
 * email_address).
 */
export function canonicalEmail(address: string): string | null {
  const at = address.lastIndexOf('@');
  const local = canonicalLocalPart(address.slice(0, Math.max(at, 0)));
  const domain = canonicalDomain(address.slice(at + 1));
  if (local === null || domain === null) return null;
  const canonical = `${local}@${domain}`;
  return Buffer.byteLength(canonical) <= OCTETS_MAX ? canonical : null;
}

function canonicalLocalPart(text: string): string | null {
  const local = text.normalize('NFC').toLowerCase().normalize('NFC');
  const isValid = local.split('.').every((atom) => ATOM.test(atom)) && !INVISIBLE.test(local);
  return isValid && Buffer.byteLength(local) <= LOCAL_OCTETS_MAX ? local : null;
}

function canonicalDomain(text: string): string | null {
  const domain = DOMAIN.test(text) ? domainToASCII(text) : '';
  return ASCII_DOMAIN.test(domain) ? domain : null;
}
