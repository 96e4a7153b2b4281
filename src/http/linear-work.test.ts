import { signUp, test, withSettings } from '../../test/support/context.ts';
import { exchange } from '../../test/support/raw-http.ts';

/*
 * Every parser and pattern that a request meets takes time in proportion to its input. Each case sends whole requests
 * with bad input of sizes 1, 2 and 4, and compares the CPU time of this thread, in which the API runs too. Other
 * processes do not count there. Work that grows with the square of the input takes 16 times as long for size 4, work in
 * proportion at most 4 times. A case is tried several times, and the shortest time of each size counts. So noise does
 * not make it fail.
 */

const TRIES = 8;
const REQUESTS = 3;
/** The geometric mean of 4 (proportional work) and 16 (quadratic work). */
const GROWTH_MAX = 8;
/** Shorter times are not measured exactly, and count as this. Quadratic work on large inputs takes much longer. */
const LEAST_MICROS = 20_000;

/** Node accepts heads up to 16 kB. */
const HEAD_SIZE = 3500;
const BODY_SIZE = 24_000;

const get = (head: string) => `GET ${head}\r\n\r\n`;
const withHeader = (header: string) => get(`/livez HTTP/1.1\r\nHost: x\r\n${header}`);
const withHeaderOnOrders = (header: string) => get(`/orders HTTP/1.1\r\nHost: x\r\n${header}`);

type Request = (size: number) => string;

const HEADS: Record<string, Request> = {
  'a path of slashes': (n) => get(`/orders${'/'.repeat(n)}x HTTP/1.1\r\nHost: x`),
  'a path of escapes': (n) => get(`/orders/${'%2f'.repeat(n / 3)} HTTP/1.1\r\nHost: x`),
  'a path of broken escapes': (n) => get(`/orders/${'%'.repeat(n)} HTTP/1.1\r\nHost: x`),
  'a URL of dots': (n) => get(`http://${'a.'.repeat(n / 2)}/livez HTTP/1.1\r\nHost: x`),
  'a URL of at signs': (n) => get(`http://${'@'.repeat(n)} HTTP/1.1\r\nHost: x`),
  'a query of ampersands': (n) => get(`/orders?${'&'.repeat(n)}a HTTP/1.1\r\nHost: x`),
  'a query of names': (n) => get(`/orders?${'a=&'.repeat(n / 3)} HTTP/1.1\r\nHost: x`),
  'a query of plus signs': (n) => get(`/orders?a=${'+'.repeat(n)}% HTTP/1.1\r\nHost: x`),
  'a Host of dots': (n) => get(`/livez HTTP/1.1\r\nHost: ${'a.'.repeat(n / 2)}!:x`),
  'a Host of colons': (n) => get(`/livez HTTP/1.1\r\nHost: [${':'.repeat(n)}`),
  'a request id': (n) => withHeader(`X-Request-Id: ${'a'.repeat(n)}!`),
  'a token of dots': (n) => withHeaderOnOrders(`Authorization: Bearer ${'.'.repeat(n)}`),
  'a token of spaces': (n) => withHeaderOnOrders(`Authorization: Bearer ${' '.repeat(n)}a b`),
  'a token of letters': (n) => withHeaderOnOrders(`Authorization: Bearer ${'a'.repeat(n)}.b`),
  'cookies of spaces': (n) => withHeader(`Cookie: a=1;${' '.repeat(n)}b`),
  'cookies of semicolons': (n) =>
    `POST /auth/logout HTTP/1.1\r\nHost: x\r\nCookie: ${'; '.repeat(n / 2)}b\r\n\r\n`,
  'cookies of names': (n) =>
    `POST /auth/logout HTTP/1.1\r\nHost: x\r\nCookie: ${'refresh_token;'.repeat(n / 14)}\r\n\r\n`,
  'addresses of commas': (n) => withHeader(`X-Forwarded-For: ${','.repeat(n)}`),
  'addresses of colons': (n) => withHeader(`X-Forwarded-For: ${':'.repeat(n)}1`),
  'addresses of proxies': (n) => withHeader(`X-Forwarded-For: ${'127.0.0.1,'.repeat(n / 10)}`),
  'addresses of digits': (n) => withHeader(`X-Forwarded-For: ${'1'.repeat(n)}.1`),
  'tags of commas': (n) => get(`/docs HTTP/1.1\r\nHost: x\r\nIf-None-Match: ${','.repeat(n)}`),
  'tags of spaces': (n) => get(`/docs HTTP/1.1\r\nHost: x\r\nIf-None-Match: a${' '.repeat(n)}b`),
  'an Origin of dots': (n) => withHeader(`Origin: https://${'a.'.repeat(n / 2)}`),
  'a media type of spaces': (n) => login('{}', `Content-Type: application/json;${' '.repeat(n)}a`),
  'a media type of parameters': (n) =>
    login('{}', `Content-Type: application/json${'; a=b'.repeat(n / 5)};`),
  'a media type of quotes': (n) =>
    login('{}', `Content-Type: application/json; a="${'\\"'.repeat(n / 2)}`),
  'codings of commas': (n) =>
    login('{}', `Content-Type: application/json\r\nContent-Encoding: ${', '.repeat(n / 2)}x`),
  'a transfer coding': (n) =>
    login('{}', `Content-Type: application/json\r\nTransfer-Encoding: ${', '.repeat(n / 2)}x`),
};

const KEYS: Record<string, (n: number) => string> = {
  'a key of quotes': (n) => `"${'\\"'.repeat(n / 2)}`,
  'a key with parameters': (n) => `"a"${';a="b"'.repeat(n / 6)}x`,
  'a key with spaces': (n) => `"a"${' '.repeat(n)};${' '.repeat(n)}!`,
  'a key of digits': (n) => `"a";a=${'1'.repeat(n)}`,
  'a key of bytes': (n) => `"a";a=:${'a'.repeat(n)}`,
};

const BODIES: Record<string, (n: number) => string> = {
  'a number of zeros between ones': (n) => `{"a":1${'0'.repeat(n)}1}`,
  'a fraction of zeros between ones': (n) => `{"a":0.1${'0'.repeat(n)}1}`,
  'an exponent of digits': (n) => `{"a":1e${'9'.repeat(n)}}`,
  'many long numbers': (n) => `[${'1000000000000000000001,'.repeat(n / 23)}1]`,
  'an amount of zeros': (n) => `{"product_name":"a","amount":"1${'0'.repeat(n)}.x"}`,
  'escapes in a text': (n) => `{"a":"${'\\u0000'.repeat(n / 6)}"}`,
  'white space': (n) => `{${' '.repeat(n)}x`,
  'white space as a name': (n) => `{"product_name":"${' '.repeat(n)}a","amount":1}`,
  'unknown members': (n) => `{${Array.from({ length: n / 10 }, (_, at) => `"m${at}":1`).join()}}`,
  'metadata of members': (n) =>
    `{"metadata":{${Array.from({ length: n / 10 }, (_, at) => `"m${at}":1`).join()}}}`,
  'nested arrays': (n) => '['.repeat(n / 2) + ']'.repeat(n / 2),
};

const EMAILS: Record<string, (n: number) => string> = {
  'an address of dots': (n) => `a@${'a.'.repeat(n / 2)}`,
  'an address of letters': (n) => 'a'.repeat(n),
  'an address of hyphens': (n) => `a@${'-a'.repeat(n / 2)}!`,
  'an address of spaces': (n) => `${' '.repeat(n)}a`,
};

function login(body: string, headers = 'Content-Type: application/json'): string {
  const length = /transfer-encoding/i.test(headers) ? '' : `Content-Length: ${body.length}\r\n`;
  return `POST /auth/login HTTP/1.1\r\nHost: x\r\n${length}${headers}\r\n\r\n${body}`;
}

function order(token: string, body: string, headers = ''): string {
  const type = 'Content-Type: application/json\r\n';
  return (
    `POST /orders HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${token}\r\n${type}${headers}` +
    `Content-Length: ${body.length}\r\n\r\n${body}`
  );
}

test.serial(
  'every part of a request is parsed in time that is proportional to its size',
  async (t) => {
    const { origin, deps } = await withSettings(t, { TRUSTED_PROXIES: '127.0.0.1' });
    const { token } = await signUp({ deps, origin });
    const heads = Object.entries(HEADS);
    for (const [what, value] of Object.entries(KEYS)) {
      heads.push([what, (n) => order(token, '{}', `Idempotency-Key: ${value(n / 2)}\r\n`)]);
    }
    const bodies = Object.entries(BODIES).map(
      ([what, body]) => [what, (n: number) => order(token, body(n))] as const,
    );
    for (const [what, email] of Object.entries(EMAILS)) {
      bodies.push([what, (n) => login(JSON.stringify({ email: email(n), password: 'a' }))]);
    }

    for (const [what, request] of heads)
      t.is(await tooMuch(origin, request, HEAD_SIZE), null, what);
    for (const [what, request] of bodies)
      t.is(await tooMuch(origin, request, BODY_SIZE), null, what);
  },
);

/** Returns the shortest CPU time for each size if these times grow too fast, or null. */
async function tooMuch(origin: string, request: Request, size: number): Promise<string | null> {
  const least = [Infinity, Infinity, Infinity];
  for (let tries = 0; tries < TRIES; tries += 1) {
    for (const step of [0, 1, 2]) {
      const spent = await cpuMicros(origin, request(size * 2 ** step));
      least[step] = Math.min(least[step] ?? Infinity, spent);
    }
    if (isProportional(least)) return null;
  }
  return `${least.join(', ')} µs`;
}

function isProportional([one = 0, , four = 0]: number[]): boolean {
  return four < Math.max(one, LEAST_MICROS) * GROWTH_MAX;
}

/** The CPU time that this thread takes to send a request several times, and to answer it. */
async function cpuMicros(origin: string, bytes: string): Promise<number> {
  const before = process.threadCpuUsage();
  for (let sent = 0; sent < REQUESTS; sent += 1) {
    const [reply] = await exchange(origin, bytes);
    if (!reply || reply.status >= 502 || reply.status === 500) throw new Error('no valid reply');
  }
  const { user, system } = process.threadCpuUsage(before);
  return user + system;
}
