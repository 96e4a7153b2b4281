import { randomUUID } from 'node:crypto';
import { signUp, test } from '../../test/support/context.ts';

type User = Awaited<ReturnType<typeof signUp>>;

/** The JSON of an order with exactly these characters as amount: JSON.stringify cannot write them all. */
const withAmount = (amount: string, more = '') =>
  `{"product_name": "Kettle", "amount": ${amount}${more}}`;

const named = (product_name: unknown) => ({ product_name, amount: 1 });
const withMetadata = (metadata: unknown) => ({ product_name: 'Kettle', amount: 1, metadata });

const refused: [what: string, order: object | string, pointer: string][] = [
  ['an amount of 0', withAmount('0'), '#/amount'],
  ['an amount of 0.00', withAmount('"0.00"'), '#/amount'],
  ['an amount of -1', withAmount('-1'), '#/amount'],
  ['an amount of "-1"', withAmount('"-1"'), '#/amount'],
  ['an amount of 1e309', withAmount('1e309'), '#/amount'],
  ['an amount of "NaN"', withAmount('"NaN"'), '#/amount'],
  ['an amount of "Infinity"', withAmount('"Infinity"'), '#/amount'],
  ['an amount of 0.001 USD', withAmount('0.001'), '#/amount'],
  ['an amount of 0.1 + 0.2', withAmount('0.30000000000000004'), '#/amount'],
  ['an amount that no double holds', withAmount('0.10000000000000000001'), '#/amount'],
  ['an amount of 1.5 JPY', withAmount('1.5', ', "currency": "JPY"'), '#/amount'],
  ['an amount of 1.2345 BHD', withAmount('"1.2345"', ', "currency": "BHD"'), '#/amount'],
  ['an amount of true', withAmount('true'), '#/amount'],
  ['an amount of null', withAmount('null'), '#/amount'],
  ['an amount in a list', withAmount('[1]'), '#/amount'],
  ['an empty amount', withAmount('""'), '#/amount'],
  ['an amount of "1e2"', withAmount('"1e2"'), '#/amount'],
  ['an amount of "007"', withAmount('"007"'), '#/amount'],
  ['an amount of "1,50"', withAmount('"1,50"'), '#/amount'],
  ['an amount of " 1"', withAmount('" 1"'), '#/amount'],
  ['an amount of "1."', withAmount('"1."'), '#/amount'],
  ['an amount of "+1"', withAmount('"+1"'), '#/amount'],
  ['an amount of "٣"', withAmount('"٣"'), '#/amount'],
  ['an amount of 10^12', withAmount('"1000000000000"'), '#/amount'],
  ['an amount of 1e21', withAmount('1e21'), '#/amount'],
  ['an amount of 10,000 digits', withAmount(`"${'9'.repeat(10_000)}"`), '#/amount'],
  ['no amount', { product_name: 'Kettle' }, '#/amount'],

  ['no product name', { amount: 1 }, '#/product_name'],
  ['an empty product name', named(''), '#/product_name'],
  ['a blank product name', named(' \t\n\u00a0\u3000'), '#/product_name'],
  ['a product name of 201 characters', named('x'.repeat(201)), '#/product_name'],
  ['a product name with NUL', named('Ket\0tle'), '#/product_name'],
  ['a product name with half a surrogate pair', named('Kettle \ud83e'), '#/product_name'],
  ['a product name that is a number', named(7), '#/product_name'],

  ['an unknown field', { ...named('Kettle'), status: 'COMPLETED' }, '#/status'],
  ['a field for another user', { ...named('Kettle'), user_id: randomUUID() }, '#/user_id'],
  ['a field with / in its name', { ...named('Kettle'), 'a/b~c': 1 }, '#/a~1b~0c'],

  ['an unknown currency', { ...named('Kettle'), currency: 'XYZ' }, '#/currency'],
  ['gold for a currency', { ...named('Kettle'), currency: 'XAU' }, '#/currency'],
  ['a currency in lower case', { ...named('Kettle'), currency: 'usd' }, '#/currency'],
  ['an empty currency', { ...named('Kettle'), currency: '' }, '#/currency'],

  ['metadata that is a list', withMetadata([1]), '#/metadata'],
  ['metadata that is text', withMetadata('gift'), '#/metadata'],
  ['metadata that is null', withMetadata(null), '#/metadata'],
  ['metadata over 4 kB', withMetadata({ note: 'x'.repeat(4096) }), '#/metadata'],
  [
    'metadata of 4097 bytes, as Postgres writes it',
    withMetadata({ note: 'x'.repeat(4085) }),
    '#/metadata',
  ],
  [
    'metadata over 4 kB when its numbers are written without exponents',
    withMetadata({ n: [1e300, ...Array<number>(13).fill(1e300)] }),
    '#/metadata',
  ],
  ['metadata over 4 kB in bytes only', withMetadata({ note: 'é'.repeat(2100) }), '#/metadata'],
  ['metadata with NUL', withMetadata({ note: ['a\0b'] }), '#/metadata'],
  ['metadata with NUL in a name', withMetadata({ 'a\0b': 1 }), '#/metadata'],
  ['metadata with half a surrogate pair', withMetadata({ note: '\udc00' }), '#/metadata'],
  [
    'metadata with a number that no double holds',
    withAmount('1', ', "metadata": {"deep": [{"n": 12345678901234567890}]}'),
    '#/metadata',
  ],
  ['metadata with 1e309', withAmount('1', ', "metadata": {"n": 1e309}'), '#/metadata'],

  ['a list instead of an order', [], '#'],
  ['a text instead of an order', '"Kettle"', '#'],
];

test('an order with one wrong member is refused with a pointer to it, and not stored', async (t) => {
  const user = await signUp(t.context);

  for (const [what, order, pointer] of refused) {
    const reply = await user.request('POST', '/orders', order);

    t.is(reply.status, 422, what);
    t.is(reply.type, 'application/problem+json', what);
    t.is(reply.body.type, '/problems/invalid-request', what);
    t.deepEqual(pointersOf(reply.body), [pointer], what);
  }

  t.is(await ordersOf(user), 0);
});

test('an order with several wrong members is refused with a pointer to each', async (t) => {
  const user = await signUp(t.context);

  const empty = await user.request('POST', '/orders', {});
  const nothing = await user.request('POST', '/orders');
  const several = await user.request('POST', '/orders/create', {
    product_name: '',
    amount: -1,
    currency: 'usd',
    colour: 'red',
  });

  t.deepEqual(pointersOf(empty.body), ['#/product_name', '#/amount']);
  t.deepEqual(pointersOf(nothing.body), ['#/product_name', '#/amount']);
  t.deepEqual(
    new Set(pointersOf(several.body)),
    new Set(['#/product_name', '#/amount', '#/currency', '#/colour']),
  );
  t.is(await ordersOf(user), 0);
});

test('a request with a product name of 1 MB is refused as too large', async (t) => {
  const user = await signUp(t.context);

  const reply = await user.request('POST', '/orders', named('x'.repeat(1_000_000)));

  t.is(reply.status, 413);
  t.is(reply.type, 'application/problem+json');
  t.is(await ordersOf(user), 0);
});

test('a body that is not valid JSON is refused', async (t) => {
  const user = await signUp(t.context);
  const depth = 30_000;
  const deep = `{"a": ${'['.repeat(depth)}${']'.repeat(depth)}}`;
  const nested = withAmount('1', `, "metadata": ${deep}`);

  for (const body of [
    '{',
    '{"product_name": "Kettle", "amount": 1,}',
    "{'product_name': 'Kettle', 'amount': 1}",
    withAmount('NaN'),
    withAmount('007'),
    withAmount('.5'),
    withAmount('0x10'),
    withAmount('1', ', "__proto__": {"amount": 2}'),
    withAmount('1', ', "metadata": {"__proto__": {"a": 1}}'),
  ]) {
    const reply = await user.request('POST', '/orders', body);
    t.is(reply.status, 400, body);
    t.is(reply.type, 'application/problem+json', body);
  }
  const { status } = await user.request('POST', '/orders', nested);
  const xml = await user.request('POST', '/orders', '<order/>', { 'content-type': 'text/xml' });

  t.true([400, 422].includes(status), `${status} for ${depth} nested lists`);
  t.is(xml.status, 415);
  t.is(await ordersOf(user), 0);
});

test('an id that is not a UUID is refused at every path', async (t) => {
  const user = await signUp(t.context);

  for (const id of ['7', 'not-a-uuid', `${randomUUID()}0`, '%00', "'%20OR%20true--"]) {
    for (const [method, path] of [
      ['GET', `/orders/${id}`],
      ['GET', `/orders/${id}/events`],
      ['PUT', `/orders/${id}/cancellation`],
      ['PATCH', `/orders/${id}/cancel`],
    ] as const) {
      const reply = await user.request(method, path);
      t.is(reply.status, 422, `${method} ${path}`);
      t.deepEqual(parametersOf(reply.body), ['id']);
    }
  }
});

test('a request for a list with an invalid parameter is refused with the name of the parameter', async (t) => {
  const user = await signUp(t.context);
  const foreign = [
    'nonsense',
    Buffer.from(randomUUID()).toString('base64url'),
    Buffer.from("o1:' OR true --").toString('base64url'),
    Buffer.from(`u1:${'0'.repeat(36)}`).toString('base64url'),
    '%00',
  ];

  for (const [query, parameter] of [
    ['limit=0', 'limit'],
    ['limit=-1', 'limit'],
    ['limit=101', 'limit'],
    ['limit=1.5', 'limit'],
    ['limit=abc', 'limit'],
    ['limit=', 'limit'],
    ['limit=1e309', 'limit'],
    ['limit=5&limit=6', 'limit'],
    ['status=SHIPPED', 'status'],
    ['status=pending', 'status'],
    ['status=', 'status'],
    ['status=PENDING&status=FAILED', 'status'],
    ['sort=amount', 'sort'],
    ...foreign.map((cursor) => [`cursor=${cursor}`, 'cursor']),
  ]) {
    const reply = await user.request('GET', `/orders?${query}`);
    t.is(reply.status, 422, query);
    t.is(reply.body.type, '/problems/invalid-request', query);
    t.deepEqual(parametersOf(reply.body), [parameter], query);
  }
});

test('the list of the original API refuses an invalid status or cursor, and any other parameter', async (t) => {
  const user = await signUp(t.context);

  for (const [query, parameter] of [
    ['status=SHIPPED', 'status'],
    ['limit=5', 'limit'],
    ['cursor=nonsense', 'cursor'],
  ]) {
    const reply = await user.request('GET', `/orders/my-orders?${query}`);
    t.is(reply.status, 422, query);
    t.deepEqual(parametersOf(reply.body), [parameter]);
  }
});

function pointersOf(problem: { errors: { pointer: string }[] }): string[] {
  return problem.errors.map(({ pointer }) => pointer);
}

function parametersOf(problem: { errors: { parameter: string }[] }): string[] {
  return problem.errors.map(({ parameter }) => parameter);
}

async function ordersOf(user: User): Promise<number> {
  return (await user.request('GET', '/orders')).body.orders.length;
}
