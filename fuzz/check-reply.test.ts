import test from 'ava';
import { createCheck } from './check-reply.ts';
import { operationsOf } from './document.ts';
import type { FuzzRequest } from './requests.ts';
import { sampleDocument } from './sample-document.ts';

const document = sampleDocument();
const check = createCheck(document);
const PROBLEM = 'application/problem+json';
const missing = { type: 'about:blank', title: 'Not Found', status: 404 };

/** What the check says about a reply to a request for an operation. */
function verdict(
  id: string,
  status: number,
  body: unknown,
  type = 'application/json',
  change: Partial<FuzzRequest> = {},
): string | undefined {
  const operation = operationsOf(document).find((one) => one.id === id);
  if (!operation) throw new TypeError(`no operation ${id}`);
  const { method, path } = operation;
  const sent = { operation, method, path, headers: {}, body: undefined, customer: 0, ...change };
  const headers = { 'content-type': `${type}; charset=utf-8` };
  return check(sent, { status, headers, body: Buffer.from(JSON.stringify(body)), ms: 1 });
}

test('a reply as the document describes it is accepted', (t) => {
  t.is(verdict('listOrders', 200, { orders: [], next_cursor: null }), undefined);
  t.is(verdict('listOrders', 404, missing, PROBLEM), undefined);
  t.is(verdict('placeOrder', 503, { ...missing, status: 503 }, PROBLEM), undefined);
});

test('a failure, an undocumented status, an undocumented body and an inner error message are found', (t) => {
  const inner = { ...missing, detail: 'relation does not exist at src/db.ts:1:2 pg_catalog' };

  t.regex(verdict('listOrders', 500, missing, PROBLEM) ?? '', /status 500/);
  t.regex(verdict('logIn', 502, missing, PROBLEM) ?? '', /status 502/);
  t.regex(verdict('listOrders', 409, missing, PROBLEM) ?? '', /409 is not documented/);
  t.regex(verdict('listOrders', 200, { orders: 'none' }) ?? '', /must/);
  t.regex(verdict('listOrders', 200, 'x', 'text/html') ?? '', /text\/html is not documented/);
  t.regex(verdict('listOrders', 404, missing) ?? '', /of type application\/json/);
  t.regex(verdict('listOrders', 404, { title: 1 }, PROBLEM) ?? '', /must/);
  t.regex(verdict('listOrders', 404, inner, PROBLEM) ?? '', /inner text/);
});

test('a reply from another operation is only checked for failures and inner error messages', (t) => {
  const elsewhere = { path: '/orders/../auth/me' };

  t.is(verdict('listOrders', 200, { id: 1 }, 'application/json', elsewhere), undefined);
  t.is(verdict('listOrders', 409, missing, PROBLEM, { method: 'POST' }), undefined);
  t.regex(verdict('listOrders', 500, missing, PROBLEM, elsewhere) ?? '', /status 500/);
});
