/*
 * Values that often break services. JSON values are kept as texts, because JavaScript cannot hold some of them.
 */

const deep = (depth: number) => '['.repeat(depth) + ']'.repeat(depth);
const text = (characters: string) => JSON.stringify(characters);

/** Texts for any place that takes a string. */
export const ODD_TEXTS = [
  ['', ' ', '\t\n', '\u00a0\u3000', '0', '-1', 'null', 'true', 'NaN', '1e400', '٣'],
  [
    '\0',
    'a\0b',
    '\u001b[2J',
    '\u202eabc',
    '\ufeff',
    '\u2028',
    '\ud800',
    '\udc00x',
    '👍🏽',
    'e\u0301',
  ],
  [
    "'; DROP TABLE orders; --",
    "' OR 1=1 --",
    '${7*7}',
    '{{7*7}}',
    '%00',
    '%0d%0aX: y',
    '..%2f..%2fx',
  ],
  ['<script>alert(1)</script>', '"', '\\', '\\u0000', '__proto__', 'constructor', 'toString'],
  ['x'.repeat(199), 'x'.repeat(200), 'x'.repeat(201), 'é'.repeat(2049), '日'.repeat(20_000)],
].flat();

/** JSON values for any place of a body. */
export const ODD_JSON = [
  ['null', 'true', 'false', '[]', '{}', '[null]', '[[]]', '{"":1}', '{"a":{"b":[]}}'],
  [
    '0',
    '-0',
    '-1',
    '1',
    '1.5',
    '0.1',
    '1e-7',
    '1e21',
    '1e308',
    '1e309',
    '-1e309',
    '1E400',
    '5e-324',
  ],
  ['9007199254740993', '0.10000000000000000001', '0.30000000000000004', `1${'0'.repeat(400)}`],
  [`0.${'0'.repeat(400)}1`, '99999999999.99', '999999999999.99', '1000000000000', '"1e2"', '"007"'],
  [
    '{"__proto__":{"admin":true}}',
    '{"constructor":{"prototype":{}}}',
    '{"toString":1}',
    '"\\ud800"',
  ],
  ['"\\u0000"', '"\\u0000\\ud83d"', deep(50), deep(1000), deep(20_000), `{"a":${deep(200)}}`],
  [`[${'0,'.repeat(5000)}0]`, `{${Array.from({ length: 2000 }, (_, at) => `"k${at}":0`).join()}}`],
  ODD_TEXTS.map(text),
].flat();

/** Names of members that no schema has, and that objects have by themselves. */
export const ODD_NAMES = [
  '',
  'x',
  'id',
  'status',
  'user_id',
  '__proto__',
  'constructor',
  'a/b~c',
  '\ud800',
  'ü',
];

/** Values of header fields that Node can send. */
export const ODD_HEADERS: Record<string, string[]> = {
  accept: ['', '*/*', 'text/html', 'application/json;q=0', 'a', ','.repeat(500)],
  'accept-encoding': ['gzip', 'br;q=1', '*', 'identity;q=0'],
  'content-encoding': ['gzip', 'identity', 'IDENTITY', 'br, gzip', ''],
  cookie: [
    '',
    '=',
    ';;;',
    'refresh_token=',
    'refresh_token=x',
    '__Host-refresh_token=%00',
    'a=b'.repeat(900),
  ],
  expect: ['100-continue', 'nonsense'],
  forwarded: ['for=unknown', 'for="[::1]:1"', 'for=_x;by=_y'],
  'if-match': ['*', '"x"'],
  'if-none-match': ['*', '"x"', 'W/"x"', 'x'],
  'if-modified-since': ['yesterday', 'Thu, 01 Jan 1970 00:00:00 GMT'],
  'idempotency-key': [
    '',
    '"',
    '""',
    '"a"',
    'a',
    'a b',
    '"a";x=1',
    'a, b',
    '"é"',
    'x'.repeat(256),
    `"${'\\"'.repeat(200)}"`,
  ],
  origin: ['null', 'https://evil.example', 'x'],
  range: ['bytes=0-', 'bytes=9-1', 'bytes=-1,-2'],
  'transfer-encoding': ['chunked'],
  'x-forwarded-for': ['unknown', '::1', '1.2.3.4:5, ::ffff:1.2.3.4', ','.repeat(300), "'"],
  'x-forwarded-proto': ['https', 'x'],
  'x-http-method-override': ['DELETE'],
  'x-request-id': ['', 'a b', 'x'.repeat(129), '\u00ff', 'r-1'],
};

/** Values of the header Authorization that no service has issued. */
export const ODD_AUTHORIZATIONS = [
  '',
  'Bearer',
  'Bearer ',
  'Bearer x',
  'Bearer a.b.c',
  'bearer  x',
  'Basic eDp5',
  'Bearer \u00e9',
  `Bearer ${'x'.repeat(7000)}`,
  'Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiIxIn0.',
];
