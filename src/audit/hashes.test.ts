import { createHash } from 'node:crypto';
import { asSuperuser } from '../../test/support/audit.ts';
import { drain, ownService, signUp, test } from '../../test/support/context.ts';

// Computes the hashes as docs/audit.md, "How to compute the hashes", describes, without Postgres.

const sha256 = (...parts: (Buffer | string)[]) => {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part);
  return hash.digest();
};

/** A JSON array as Postgres writes it: a blank after each comma. */
const array = (values: unknown[]) => `[${values.map((value) => JSON.stringify(value)).join(', ')}]`;

type Row = Record<string, string | number | null>;

test('the hashes of an order and its events can be computed without Postgres', async (t) => {
  const service = await ownService(t);
  const user = await signUp(service);
  await user.place({
    product_name: 'Kettle "Ω"\u0001 \\ 1\t½',
    amount: '34.9',
    metadata: { b: [1, { 'a b': null }], a: 'ü"\n' },
  });
  await drain(service.deps, 'process-order');

  const [order] = (await asSuperuser(
    service,
    `SELECT id, user_id, product_name, amount::text, currency, metadata::text,
       extract(epoch FROM created_at)::text AS created, xact_id::text FROM orders`,
  )) as Row[];
  const events = (await asSuperuser(
    service,
    `SELECT order_id, version, from_status, to_status, actor, reason, job_id, attempt,
       extract(epoch FROM at)::text AS at, xact_id::text, encode(hash, 'hex') AS hash
     FROM order_events ORDER BY version`,
  )) as Row[];
  let previous = sha256(array(Object.values(order ?? {})));
  const computed = events.map((row) => {
    previous = sha256(previous, array(Object.values(row).slice(0, -1)));
    return previous.toString('hex');
  });

  t.is(events.length, 3);
  t.deepEqual(
    computed,
    events.map(({ hash }) => hash),
  );
});
