import { test } from '../../test/support/context.ts';
import { readDotEnv } from './dot-env.ts';
import { nearMiss } from './near-miss.ts';

const KNOWN = ['FULFILMENT_URL', 'FULFILMENT_SECRET', 'REDIS_URL', 'PORT', 'METRICS_PORT', 'HOST'];

function read(content: string | Uint8Array) {
  const bytes = typeof content === 'string' ? new TextEncoder().encode(content) : content;
  return readDotEnv(bytes, KNOWN);
}

for (const [what, content] of [
  ['a byte order mark', '\uFEFFPORT=1\nHOST=a b'],
  ['lines of Windows', 'PORT=1\r\nHOST=a b\r\n'],
  ['lines of Windows that were converted twice', 'PORT=1\r\r\nHOST=a b\r\r\n'],
  ['quotes, spaces, comments and export', `# x\n export PORT = "1" # one\n\nHOST='a b'`],
] as const) {
  test(`.env with ${what} is read`, (t) => {
    const nothing = { mistakes: [], warnings: [] };

    t.deepEqual(read(content), { values: { PORT: '1', HOST: 'a b' }, ...nothing });
  });
}

test('a value of several lines is one value', (t) => {
  t.deepEqual(read('HOST="a\nPORT: 2\n"\nPORT=1'), {
    values: { HOST: 'a\nPORT: 2\n', PORT: '1' },
    mistakes: [],
    warnings: [],
  });
});

for (const [what, content, mistake] of [
  ['UTF-16', Buffer.from('\uFEFFPORT=1', 'utf16le'), '.env is not UTF-8 text: save it as UTF-8'],
  ['Latin 1', Buffer.from('HOST=f\u00fcr', 'latin1'), '.env is not UTF-8 text: save it as UTF-8'],
  ['a line of YAML', 'PORT: 1', 'line 1 of .env is not of the form NAME=value'],
  [
    'an open quote',
    'PORT=1\nHOST="secret',
    'HOST in line 2 of .env begins with a quote that is not closed',
  ],
  [
    'an open quote that a later line closes',
    "HOST='secret\nFULFILMENT_URL=x\nREDIS_URL='y'",
    'HOST in line 1 of .env begins with a quote that is closed only after FULFILMENT_URL',
  ],
  [
    'an open quote of another program',
    'POSTGRES_PASSWORD="secret\n  export FULFILMENT_URL="x"',
    'POSTGRES_PASSWORD in line 1 of .env begins with a quote that is closed only after FULFILMENT_URL',
  ],
  ...['\r', '\u0085', '\u2028'].map(
    (end) =>
      [
        `the line end ${encodeURIComponent(end)}`,
        `# a comment${end}FULFILMENT_URL=secret${end}`,
        '.env has line ends other than LF and CRLF: save it with one of these',
      ] as const,
  ),
  [
    'typographic quotes',
    'HOST=\u201csecret\u201d',
    `HOST in line 1 of .env begins with a typographic quote: write " or '`,
  ],
  [
    'a # inside a value',
    'FULFILMENT_SECRET=sec#ret',
    'FULFILMENT_SECRET in line 1 of .env contains a #: put the value in quotes',
  ],
  [
    'an American spelling',
    'FULFILLMENT_URL=x',
    'FULFILLMENT_URL in .env is not a setting: write FULFILMENT_URL',
  ],
  ['lower case', 'redis_url=x', 'redis_url in .env is not a setting: write REDIS_URL'],
  [
    'a letter too many',
    'FULFILMENT_SECRETS=x',
    'FULFILMENT_SECRETS in .env is not a setting: write FULFILMENT_SECRET',
  ],
] as const) {
  test(`.env with ${what} is a mistake, and the message repeats no value`, (t) => {
    t.deepEqual(read(content).mistakes, [mistake]);
  });
}

test('a name that is set twice, or that nothing reads, gets a warning', (t) => {
  t.deepEqual(read('PORT=1\nPORT=2\nSHOP_NAME=x\nCOMPOSE_PROJECT_NAME=y').warnings, [
    'SHOP_NAME in .env is not a setting of the service',
    'PORT is set twice in .env: the last one counts',
  ]);
});

test('names that other programs use do not count as misspelt settings', (t) => {
  for (const name of ['PORTS', 'HOSTS', 'PGHOST', 'REDIS_PORT', 'WORKER_HOST', 'API_PORT', 'SHELL'])
    t.is(nearMiss(name, KNOWN), undefined, name);
  t.is(nearMiss('FULFILMENT_ULR', KNOWN), 'FULFILMENT_URL');
  t.is(nearMiss('RedisUrl', KNOWN), 'REDIS_URL');
});
