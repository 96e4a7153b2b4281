import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { takeDataDir } from '../local/data-dir.ts';
import { startPostgresIn } from '../local/postgres.ts';
import { test } from '../../test/support/context.ts';
import { temporaryFolder } from '../../test/support/processes.ts';
import { runAudit } from './run.ts';

test('the audit does not run on a replica', async (t) => {
  const folder = temporaryFolder(t);
  const dataDir = takeDataDir(folder);
  await (await startPostgresIn(dataDir)).stop();
  writeFileSync(join(dataDir.path('postgres'), 'standby.signal'), '');
  const replica = await startPostgresIn(dataDir);
  t.teardown(replica.stop);

  await t.throwsAsync(runAudit({ databaseUrl: replica.url('postgres'), keys: null }), {
    message: 'This is a replica: the audit reads from the primary only',
  });
});
