import { drain, ownService, signUp, test } from '../test/support/context.ts';
import { asSuperuser, violations } from '../test/support/audit.ts';
import { fuzz } from './run.ts';

const SEED = 1;

test('no generated request and no byte stream makes the API fail, and accepted orders audit clean', async (t) => {
  const service = await ownService(t);
  const newToken = async () => (await signUp(service)).token;

  const outcome = await fuzz(
    { origin: service.origin, newToken },
    { seed: SEED, requests: 300, streams: 100 },
  );
  await drain(service.deps, 'process-order');

  t.deepEqual(outcome.findings, []);
  t.true(outcome.accepted.size > 5);
  const stored = await asSuperuser(service, 'SELECT id, status FROM orders');
  for (const { id } of stored) outcome.accepted.delete(String(id));
  t.deepEqual([...outcome.accepted], []);
  t.deepEqual(await violations(service), []);
  t.true(stored.every(({ status }) => status === 'COMPLETED' || status === 'CANCELLED'));
});
