import { chmodSync, cpSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { Client } from 'pg';
import { test } from '../testing/context.ts';
import { temporaryFolder } from '../testing/processes.ts';
import { takeDataDir } from './data-dir.ts';
import { findBinaries, startPostgres } from './postgres.ts';

test('Postgres starts in a checkout that nobody but its owner can enter', async (t) => {
  const folder = temporaryFolder(t);
  const { postgres, initdb } = await findBinaries();
  cpSync(join(dirname(postgres), '..'), join(folder, 'native'), { recursive: true });
  const inFolder = (program: string) =>
    join(folder, 'native', 'bin', program.split('/').at(-1) ?? '');
  const dataDir = takeDataDir(join(folder, 'data'));
  dataDir.secret('password');
  chmodSync(folder, 0o700);

  const started = await startPostgres({
    dir: dataDir.path('postgres'),
    passwordFile: dataDir.path('password'),
    binaries: { postgres: inFolder(postgres), initdb: inFolder(initdb) },
  });
  t.teardown(started.stop);

  const client = new Client(started.url('postgres'));
  await client.connect();
  const { rows } = await client.query<{ fsync: string }>('SHOW fsync');
  await client.end();
  t.deepEqual(rows, [{ fsync: 'on' }]);
});
