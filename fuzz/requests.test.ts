import test from 'ava';
import { choicesFor } from './choice.ts';
import { sampleDocument } from './sample-document.ts';
import { operationsOf } from './document.ts';
import { makeRequest } from './requests.ts';
import { bytesOf, makeStream } from './streams.ts';

const document = sampleDocument();
const operations = operationsOf(document);
const known = { tokens: ['t1', 't2'], orderIds: ['01890000-0000-7000-8000-000000000000'] };
const requestAt = (seed: number, index: number) =>
  makeRequest(choicesFor(seed, index), document, operations, known);

test('the same seed makes the same requests and streams, and another seed makes others', (t) => {
  t.deepEqual(requestsOf(7), requestsOf(7));
  t.deepEqual(streamsOf(7), streamsOf(7));
  t.notDeepEqual(requestsOf(7), requestsOf(8));
  t.notDeepEqual(streamsOf(7), streamsOf(8));
});

test('the requests reach every operation, with and without a token, with valid bodies and odd ones', (t) => {
  const requests = Array.from({ length: 2000 }, (_, at) => requestAt(1, at));

  t.is(new Set(requests.map(({ operation }) => operation.id)).size, operations.length);
  t.true(requests.some(({ headers }) => headers.authorization === undefined));
  t.true(requests.some(({ customer }) => customer !== undefined));
  const bodies = requests.flatMap(({ body }) => (body ? [body.toString()] : []));
  t.true(bodies.filter(isJson).length > bodies.length / 2);
  t.true(bodies.some((text) => !isJson(text)));
  t.true(bodies.some((text) => /"(\w+)":.*"\1":/.test(text))); // one name twice
});

function requestsOf(seed: number) {
  return Array.from({ length: 200 }, (_, at) => requestAt(seed, at));
}

function streamsOf(seed: number): Buffer[] {
  return requestsOf(seed).map((one, at) => makeStream(choicesFor(seed, at), [bytesOf(one)]));
}

function isJson(text: string): boolean {
  try {
    return typeof JSON.parse(text) === 'object';
  } catch {
    return false;
  }
}
