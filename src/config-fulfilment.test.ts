import test, { type ExecutionContext } from 'ava';
import { WorkerConfig } from './config.ts';
import { loadConfig, type Environment } from './config/load.ts';

const DATABASE_URL = 'postgres://localhost/orders';

test('FULFILMENT_URL is refused with a user or a password, and the mistake does not repeat them', (t) => {
  const FULFILMENT_SECRET = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw';
  for (const userinfo of ['shop:geheim@', 'shop@', ':geheim@', 'shop:ge%20heim@']) {
    const FULFILMENT_URL = `https://${userinfo}fulfilment.example/orders`;
    t.is(
      mistakeIn(t, { FULFILMENT_URL, FULFILMENT_SECRET }),
      'FULFILMENT_URL must not contain a user or a password',
    );
  }
});

test('FULFILMENT_URL requires a valid FULFILMENT_SECRET', (t) => {
  const FULFILMENT_URL = 'https://fulfilment.example/orders';

  t.is(
    mistakeIn(t, { FULFILMENT_URL }),
    'FULFILMENT_SECRET is required when FULFILMENT_URL is set',
  );
  t.is(
    mistakeIn(t, { FULFILMENT_URL, FULFILMENT_SECRET: 'not base64!' }),
    'FULFILMENT_SECRET must be base64, with or without the prefix whsec_',
  );
  for (const FULFILMENT_SECRET of ['whsec_c2VjcmV0', 'c2VjcmV0']) {
    const config = loadConfig(WorkerConfig, { DATABASE_URL, FULFILMENT_URL, FULFILMENT_SECRET });
    t.is(config.FULFILMENT_SECRET, FULFILMENT_SECRET);
  }
});

function mistakeIn(t: ExecutionContext, env: Environment): string | undefined {
  return t.throws(() => loadConfig(WorkerConfig, { DATABASE_URL, ...env }))?.message;
}
