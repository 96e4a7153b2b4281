import { test } from '../../../test/support/context.ts';
import { openDatabaseProxy } from '../../../test/support/database-proxy.ts';
import { databaseUrl } from '../../../test/support/template.ts';
import { isDatabaseAway } from '../errors.ts';
import { createQueue } from '../../queue/boss.ts';

const SETTLES_SESSION = 'default_transaction_read_only';

test('a process goes on when a connection of its queue breaks while its session is settled', async (t) => {
  const { config, log } = t.context.deps;
  const url = new URL(databaseUrl(t.context.database));
  let settled = 0; // the first connection only looks for a route
  const proxy = await openDatabaseProxy(url.href, () => ({
    fromClient(chunk) {
      if (chunk.includes(SETTLES_SESSION)) settled += 1;
      if (settled > 1) proxy.breakConnections();
      return true;
    },
  }));
  t.teardown(proxy.close);
  url.port = String(proxy.port);
  const { boss, close } = createQueue({ ...config, DATABASE_URL: url.href }, log);
  t.teardown(() => close(0));

  // AVA fails this file on an error that no code catches.
  const error = await t.throwsAsync(boss.start());

  t.true(isDatabaseAway(error));
});
