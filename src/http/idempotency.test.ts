import { send, signUp, test } from '../../test/support/context.ts';
import { fingerprintOf, parseKey } from './idempotency.ts';
import { Problem } from './problem.ts';

const UUID = '8e03978e-40d5-43dd-bc93-6894a57f9324';
const ORDER = { product_name: 'Kettle', amount: '34.90' };

for (const [title, values, key] of [
  ['a UUID in quotes, as in the draft', [`"${UUID}"`], UUID],
  ['a UUID without quotes, as many clients send it', [UUID], UUID],
  ['a single character', ['x'], 'x'],
  ['every visible character except quote and comma', [visible(/[",]/)], visible(/[",]/)],
  ['every character that a string can have', [quote(` ${visible()}`)], ` ${visible()}`],
  ['255 characters', ['k'.repeat(255)], 'k'.repeat(255)],
  ['255 characters in quotes', [quote('k'.repeat(255))], 'k'.repeat(255)],
  ['255 escaped characters', [quote('"'.repeat(255))], '"'.repeat(255)],
  [
    'a string with parameters, which are ignored',
    ['"k";a;b=1 ; c="x";d=?0;*e=tok/en;f=:YQ==:;g=-1.5'],
    'k',
  ],
  ['the same key twice', ['"k"', 'k'], 'k'],
] as const) {
  test(`an Idempotency-Key may be ${title}`, (t) => {
    t.is(parseKey([...values]), key);
  });
}

for (const [title, values, detail] of [
  ['empty', [''], /empty/],
  ['an empty string', ['""'], /empty/],
  ['two keys', ['a', 'b'], /one/],
  ['two keys that a proxy has joined', ['a,b'], /quotes/],
  ['two strings that a proxy has joined', ['"a", "a"'], /quotes/],
  ['256 characters', ['k'.repeat(256)], /255/],
  ['256 characters in quotes', [quote('k'.repeat(256))], /255/],
  ['a string without a closing quote', ['"a'], /quotes/],
  ['a quote in the middle', ['a"b'], /quotes/],
  ['a string with a quote inside', ['"a"b"'], /quotes/],
  ['a string with an unknown escape', [String.raw`"a\n"`], /quotes/],
  ['a string that ends in an escape', [String.raw`"a\"`], /quotes/],
  ['words without quotes', ['two words'], /quotes/],
  ['a tab', ['"a\tb"'], /quotes/],
  ['a letter that is not ASCII', ['"ä"'], /quotes/],
  ['a letter that is not ASCII, without quotes', ['ä'], /quotes/],
  ['a parameter without a name', ['"a";'], /quotes/],
  ['a parameter with a capital letter', ['"a";B=1'], /quotes/],
] as const) {
  test(`an Idempotency-Key must not be ${title}`, (t) => {
    const error = t.throws(() => parseKey([...values]), { instanceOf: Problem });
    t.is(error.slug, 'invalid-idempotency-key');
    t.regex(error.message, detail);
  });
}

test('a header made to slow down the parser is refused in less than 200 ms of CPU time', (t) => {
  const header = `"${'a'.repeat(4000)}"${';a'.repeat(4000)};;`;
  const before = process.threadCpuUsage();
  t.throws(() => parseKey([header]), { instanceOf: Problem });
  const { user } = process.threadCpuUsage(before);
  t.true(user < 200_000, `${user} µs`);
});

test('bodies that differ only in notation and order of members have the same fingerprint', (t) => {
  const one = fingerprintOf(
    JSON.parse('{"a":{"x":1,"y":[1,{"p":null,"q":true}]},"b":"é","10":0,"9":0}'),
  );
  const other = fingerprintOf(
    JSON.parse(
      '{ "9": 0.0, "b": "\\u00e9", "10": -0, "a": {"y": [1.0, {"q": true, "p": null}], "x": 1e0} }',
    ),
  );
  t.is(one, other);
});

test('bodies that differ in anything else have different fingerprints', (t) => {
  const bodies = [
    undefined,
    null,
    {},
    [],
    '',
    { a: 1 },
    { a: '1' },
    { a: [1] },
    { a: null },
    { a: { b: 1 } },
    { b: 1 },
    { a: 1, b: 1 },
    { 'a":1,"b': 1 },
    [1, 2],
    [2, 1],
    [[1], 2],
    [1, [2]],
    { a: '\ud800' },
    { a: '\udfff' },
  ];
  t.is(new Set(bodies.map(fingerprintOf)).size, bodies.length);
});

test('the fingerprint is the SHA-256 of the body in the canonical form of RFC 8785', (t) => {
  // printf '{"amount":34.9,"product_name":"Kettle"}' | sha256sum
  const body = { product_name: 'Kettle', amount: 34.9 };
  t.is(fingerprintOf(body), 'c32a0fa9911d56b5f8a8cc74251dbffc18b4ec4ccbae3c95fd9efd24a7f4ab12');
});

test('a deeply nested body with a key never causes a server error', async (t) => {
  const user = await signUp(t.context);
  for (const depth of [500, 1000, 2000, 4000, 16_000, 49_000]) {
    const body = `{"metadata":${'['.repeat(depth)}${']'.repeat(depth)}}`;
    const { status } = await user.request('POST', '/orders', body, {
      'idempotency-key': `deep-${depth}`,
    });
    t.true(status === 400 || status === 422, `${depth}: ${status}`);
  }
});

for (const [method, path] of [
  ['POST', '/orders'],
  ['POST', '/orders/create'],
  ['PUT', '/orders/{id}/cancellation'],
  ['PATCH', '/orders/{id}/cancel'],
] as const) {
  test(`${method} ${path} refuses a malformed key, and changes nothing`, async (t) => {
    const user = await signUp(t.context);
    const id = await user.place();
    const headers = { 'idempotency-key': '"open' };

    const reply = await user.request(method, path.replace('{id}', id), ORDER, headers);

    t.is(reply.status, 400);
    t.is(reply.type, 'application/problem+json');
    t.like(reply.body, { type: '/problems/invalid-idempotency-key', status: 400 });
    const { body } = await user.request('GET', '/orders');
    t.deepEqual(
      body.orders.map((order: { status: string }) => order.status),
      ['PENDING'],
    );
  });
}

test('a request without an access token gets 401, even if its key is not valid', async (t) => {
  const headers = { 'idempotency-key': '' };
  const { status } = await send(t.context.origin, 'POST', '/orders', { body: ORDER, headers });
  t.is(status, 401);
});

test('the key of a request that changes no order is ignored', async (t) => {
  const user = await signUp(t.context);
  const { status } = await user.request('GET', '/orders', undefined, {
    'idempotency-key': '"open',
  });
  t.is(status, 200);
});

test('the problems of Idempotency-Keys are documented', async (t) => {
  for (const [slug, status] of [
    ['invalid-idempotency-key', 400],
    ['idempotency-key-in-use', 409],
    ['idempotency-key-reused', 422],
  ] as const) {
    const { body } = await send(t.context.origin, 'GET', `/problems/${slug}`);
    t.like(body, { type: `/problems/${slug}`, status });
  }
});

type Operation = {
  summary: string;
  parameters: { name: string; required?: boolean }[];
  responses: Record<string, { description: string; headers: Record<string, unknown> } | undefined>;
};

test('the OpenAPI document describes the key and its refusals for each operation that changes an order', async (t) => {
  const { body } = await send(t.context.origin, 'GET', '/openapi.json');
  const paths: Record<string, Record<string, Operation>> = body.paths;
  const operations = Object.entries(paths).flatMap(([path, item]) =>
    ['post', 'put', 'patch'].flatMap(
      (method) => (path.startsWith('/orders') && item[method]) || [],
    ),
  );
  t.is(operations.length, 4);
  for (const { summary, parameters, responses } of operations) {
    const key = parameters.find(({ name }) => name === 'Idempotency-Key');
    t.like(key, { in: 'header' }, summary);
    t.not(key?.required, true, summary);
    for (const status of ['400', '409', '422'])
      t.regex(responses[status]?.description ?? '', /Idempotency-Key/);
    const done = responses['201'] ?? responses['200'];
    t.truthy(done?.headers['Idempotent-Replayed'], summary);
  }
});

/** Every visible ASCII character, except those that match. */
function visible(without = /$^/): string {
  const all = Array.from({ length: 94 }, (_, index) => String.fromCharCode(0x21 + index));
  return all.filter((character) => !without.test(character)).join('');
}

/** A structured-field string. */
function quote(text: string): string {
  return `"${text.replaceAll(/["\\]/g, String.raw`\$&`)}"`;
}
