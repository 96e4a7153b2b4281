import type { IncomingMessage } from 'node:http';

/** RFC 9112 3.2.2: the target of a request may be a whole URL. Matches its scheme and its host. */
const ORIGIN = /^https?:\/\/([^/?#]*)/i;
/** RFC 3986 3.2: a name or an address, and a port. */
const HOST = /^(?:\[[\da-f:.]+\]|[\w.~!$&'()*+,;=%-]*)(?::\d*)?$/i;
const CONTINUE = /^100-continue$/i;
/** Headers that a request may have only once. Of several, Node keeps the first, and a proxy may have read another. */
const SINGLE = ['host', 'authorization', 'content-type', 'content-encoding'];
const SINGLE_LENGTHS = new Set(SINGLE.map(({ length }) => length));

/**
 * Returns the status with which the head of a request is refused before Koa gets the request, or undefined. Reduces the
 * target of the request to the path and the query, because the routes match these.
 */
export function refusalOfHead(req: IncomingMessage): number | undefined {
  const { headers, httpVersionMajor, httpVersionMinor } = req;
  if (httpVersionMajor !== 1) return 505;
  if (headers.host === undefined ? httpVersionMinor > 0 : !isHost(headers.host)) return 400;
  if (hasRepeated(req.rawHeaders)) return 400;
  if (headers.expect !== undefined && httpVersionMinor > 0 && !CONTINUE.test(headers.expect)) {
    return 417;
  }
  const coding = headers['transfer-encoding'];
  if (coding !== undefined && httpVersionMinor === 0) return 400; // RFC 9112 6.1: the framing is faulty
  if (coding !== undefined && coding.trim().toLowerCase() !== 'chunked') return 501;
  const target = originForm(req.url ?? '', req.method);
  if (target === undefined) return 400;
  req.url = target;
  return undefined;
}

/** Returns the path and the query of a target, or undefined for a malformed target, on which Koa could throw. */
function originForm(target: string, method = ''): string | undefined {
  if (isPlainPath(target)) return target;
  if (target === '*') return method === 'OPTIONS' ? '/' : undefined;
  const [origin = '', authority] = ORIGIN.exec(target) ?? [];
  if (authority === '' || (authority !== undefined && !isHost(authority))) return undefined;
  const path = target.slice(origin.length);
  const rooted = origin === '' || path.startsWith('/') ? path : `/${path}`;
  return rooted.startsWith('/') && URL.canParse(rooted, 'http://host') ? rooted : undefined;
}

/** Nearly every target is a plain path, and this test costs less than parsing. */
function isPlainPath(target: string): boolean {
  return /^\/(?!\/)[\w/-]*$/.test(target);
}

let lastHost = ''; // nearly every request has the same one

function isHost(host: string): boolean {
  if (host === lastHost) return true;
  if (!HOST.test(host)) return false;
  lastHost = host;
  return true;
}

/** `rawHeaders` has names and values in turn. */
function hasRepeated(rawHeaders: string[]): boolean {
  let seen = '';
  for (let at = 0; at < rawHeaders.length; at += 2) {
    const written = rawHeaders[at] ?? '';
    if (!SINGLE_LENGTHS.has(written.length)) continue; // cheaper than toLowerCase for each header
    const name = written.toLowerCase();
    if (!SINGLE.includes(name)) continue;
    if (seen.includes(`${name};`)) return true;
    seen += `${name};`;
  }
  return false;
}
