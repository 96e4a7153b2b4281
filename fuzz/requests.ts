import type { Choice } from './choice.ts';
import type { Document, Operation } from './document.ts';
import { ODD_AUTHORIZATIONS, ODD_HEADERS } from './odd-values.ts';
import { jsonFor, parameterFor } from './values.ts';

/** A request to send. `path` and `headers` are sent as they are. */
export type FuzzRequest = {
  operation: Operation;
  method: string;
  path: string;
  headers: Record<string, string>;
  body: Buffer | undefined;
  /** The number of the customer whose token the request has; undefined when it has no token, or an invalid one. */
  customer: number | undefined;
};

/** What a generated request can refer to. */
export type Known = { tokens: string[]; orderIds: string[] };

const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'];
const TYPES = [
  'text/plain',
  'application/xml',
  'application/json; charset=utf-16',
  'application/',
  'a',
  '',
];

/**
 * Makes a request for one of the operations. In half of the requests, each part is odd with some probability. In the
 * others, only the token can be odd or missing, and a value can lie just outside its limits.
 */
export function makeRequest(
  choice: Choice,
  document: Document,
  operations: Operation[],
  known: Known,
): FuzzRequest {
  const operation = choice.oneOf(operations);
  const oddity = choice.oneOf([0, 0, 0.1, 0.3]);
  const body = bodyFor(choice, document, operation, oddity);
  const customer = choice.chance(0.9 - oddity)
    ? choice.integer(0, known.tokens.length - 1)
    : undefined;
  const headers: Record<string, string> = {};
  if (body) headers['content-type'] = 'application/json';
  if (customer !== undefined) headers.authorization = `Bearer ${known.tokens[customer]}`;
  else if (choice.chance(0.5)) headers.authorization = choice.oneOf(ODD_AUTHORIZATIONS);
  if (choice.chance(0.3)) headers['idempotency-key'] = `"k-${choice.integer(0, 50)}"`;
  if (choice.chance(oddity)) headers['content-type'] = choice.oneOf(TYPES);
  for (const [name, values] of Object.entries(ODD_HEADERS)) {
    if (choice.chance(oddity / 6)) headers[name] = choice.oneOf(values);
  }
  if (headers['transfer-encoding'] && !body) delete headers['transfer-encoding'];
  return {
    operation,
    method: choice.chance(oddity / 3) ? choice.oneOf(METHODS) : operation.method,
    path: pathFor(choice, operation, known, oddity),
    headers,
    body,
    customer,
  };
}

function pathFor(
  choice: Choice,
  { path, parameters }: Operation,
  { orderIds }: Known,
  oddity: number,
): string {
  const filled = path.replaceAll(/\{(\w+)\}/g, (_, name: string) => {
    if (orderIds.length > 0 && choice.chance(0.7)) return choice.oneOf(orderIds);
    const schema = parameters.find((one) => one.in === 'path' && one.name === name)?.schema ?? {};
    return encode(parameterFor(choice, { format: 'uuid', ...schema }, oddity));
  });
  const query = parameters
    .filter((one) => one.in === 'query' && choice.chance(0.4))
    .map(({ name, schema }) => `${name}=${encode(parameterFor(choice, schema, oddity))}`);
  if (choice.chance(oddity / 2))
    query.push(choice.oneOf(['x', '=', '&&', 'limit=1&limit=2', '%ff=%', '__proto__=1', 'a[b]=1']));
  const spelled = choice.chance(oddity / 4) ? oddPath(choice, filled) : filled;
  return query.length > 0 ? `${spelled}?${query.join('&')}` : spelled;
}

/** Other spellings of a path, and paths that lead elsewhere. */
function oddPath(choice: Choice, path: string): string {
  return choice.oneOf([
    path.toUpperCase(),
    `${path}/`,
    `/${path}`,
    `${path}/../${path}`,
    `${path}%2f`,
    `${path};x=1`,
    `${path}%00`,
    path.replace('/', '/%2e/'),
    `http://other.example${path}`,
    `${path}/${'a'.repeat(2000)}`,
  ]);
}

/** Encodes a text for a URL. Replaces halves of surrogate pairs, and cuts a long text. */
function encode(text: string): string {
  return encodeURIComponent(text.toWellFormed()).slice(0, 3000).replace(/%.?$/, '');
}

function bodyFor(
  choice: Choice,
  document: Document,
  { body }: Operation,
  oddity: number,
): Buffer | undefined {
  if (!body) return choice.chance(oddity / 2) ? Buffer.from('{"x":1}') : undefined;
  if (choice.chance(oddity / 3)) return undefined;
  const json = jsonFor(choice, document, body, oddity);
  return choice.chance(oddity / 2) ? oddBytes(choice, json) : Buffer.from(json);
}

/** JSON text with something wrong in its bytes. */
function oddBytes(choice: Choice, json: string): Buffer {
  return choice.oneOf([
    () => Buffer.from(json.slice(0, choice.integer(0, json.length))),
    () => Buffer.from(`${json}${json}`),
    () => Buffer.from(`\ufeff${json}`),
    () => Buffer.from(json, 'utf16le'),
    () => Buffer.concat([Buffer.from(json), Buffer.from([0xff, 0xc0, 0x80])]),
    () => Buffer.from(`${' '.repeat(99_000)}${json}`),
    () => Buffer.from(`${json}${' '.repeat(150_000)}`),
    () => Buffer.from(`{"a":1${'0'.repeat(99_900)}1}`),
    () => Buffer.from(`"${'\\u0041'.repeat(16_000)}"`),
    () => Buffer.from(`${'[0,'.repeat(30_000)}0`),
  ])();
}
