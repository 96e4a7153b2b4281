import { setTimeout } from 'node:timers/promises';
import { ReadableError } from '../src/process.ts';
import type { Api, Contestant } from './contestant.ts';
import type { Machine } from './machine.ts';

const COMPLETED_TIMEOUT_MS = 60_000;
const POLL_MS = 20;

/**
 * Checks that a contestant works: its POST answers 201 with the order. Of a contestant with a database also: the order
 * is stored with its job, its worker completes the order, and requests without a token or with a bad body are refused.
 * Throws when a check fails.
 */
export async function verify(machine: Machine, contestant: Contestant): Promise<void> {
  const { name, database, worker, left } = contestant;
  const api = await contestant.api(machine);
  try {
    const order = await placeOne(name, api);
    if (!database || !worker || !left) return;
    await requireRefusals(name, api);
    await requireStatus(machine, contestant, order.id, 'PENDING');
    const queued = await left(machine);
    if (queued !== 1) throw new ReadableError(`${name}: ${queued} jobs queued instead of 1`);
    const running = await worker(machine);
    try {
      await requireStatus(machine, contestant, order.id, 'COMPLETED', COMPLETED_TIMEOUT_MS);
      await requireEmpty(name, () => left(machine));
      await requireRoles(machine, contestant);
    } finally {
      await running.stop();
    }
  } finally {
    await api.stop();
  }
}

async function placeOne(name: string, api: Api): Promise<{ id: string }> {
  const { origin, path, headers, body } = api;
  const response = await fetch(origin + path, { method: 'POST', headers, body });
  const order = (await response.json()) as Record<string, unknown> & { id: string };
  const { product_name, amount, currency, status } = order;
  const reply = [response.status, product_name, amount, currency, status].join(' ');
  if (reply !== '201 Book 99.00 USD PENDING') throw new ReadableError(`${name} answers ${reply}`);
  return order;
}

async function requireRefusals(name: string, api: Api): Promise<void> {
  const { origin, path, headers, body } = api;
  const { authorization: _token, ...withoutToken } = headers;
  const url = origin + path;
  const anonymous = await fetch(url, { method: 'POST', headers: withoutToken, body });
  if (anonymous.status !== 401) {
    throw new ReadableError(`${name} answers ${anonymous.status} to a request without a token`);
  }
  const bad = await fetch(url, {
    method: 'POST',
    headers,
    body: '{"product_name":"","amount":-1}',
  });
  if (bad.status !== 400 && bad.status !== 422) {
    throw new ReadableError(`${name} answers ${bad.status} to an invalid order`);
  }
}

async function requireStatus(
  machine: Machine,
  { name, database }: Contestant,
  id: string,
  status: string,
  timeoutMs = 0,
): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    const sql = `SELECT status::text AS status FROM orders WHERE id = '${id}'`;
    const [order] = await machine.query<{ status: string }>(sql, database);
    if (order?.status === status) return;
    if (performance.now() >= deadline) {
      throw new ReadableError(`${name}: the order is ${order?.status ?? 'missing'}, not ${status}`);
    }
    await setTimeout(POLL_MS);
  }
}

/** Checks that exactly the roles of the contestant are logged in to its database. */
async function requireRoles(
  machine: Machine,
  { name, database, roles = [] }: Contestant,
): Promise<void> {
  if (roles.length === 0) return;
  const sql = `SELECT DISTINCT usename::text AS role FROM pg_stat_activity
    WHERE datname = '${database}' AND backend_type = 'client backend' ORDER BY role`;
  const found = (await machine.query<{ role: string }>(sql)).map(({ role }) => role).join(', ');
  if (found !== roles.toSorted().join(', ')) {
    throw new ReadableError(
      `${name}: the roles in its database are ${found}, not ${roles.join(', ')}`,
    );
  }
}

async function requireEmpty(name: string, left: () => Promise<number>): Promise<void> {
  const deadline = performance.now() + COMPLETED_TIMEOUT_MS;
  while ((await left()) > 0) {
    if (performance.now() >= deadline)
      throw new ReadableError(`${name}: the job of the order does not end`);
    await setTimeout(POLL_MS);
  }
}
