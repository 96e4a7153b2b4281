import { cpSync, writeFileSync } from 'node:fs';
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { pino } from 'pino';
import { sql } from 'slonik';
import { z } from 'zod';
import { takeDataDir } from '../../src/local/data-dir.ts';
import { startPostgresIn } from '../../src/local/postgres.ts';
import { openPool } from '../../src/db/pool.ts';
import { connect } from '../support/migrating.ts';
import { test } from '../support/context.ts';
import { temporaryFolder } from '../support/processes.ts';
import { FAST_AND_FORGETFUL } from '../support/servers.ts';
import { until } from '../support/until.ts';

const silent = pino({ level: 'silent' });
const Port = z.object({ port: z.number() });

test('with several hosts, new connections go to the one that accepts writes, also after a failover', async (t) => {
  const [first, second] = [temporaryFolder(t), temporaryFolder(t)];
  await (await startPostgresIn(takeDataDir(first))).stop();
  cpSync(join(first, 'postgres-password'), join(second, 'postgres-password'));
  execFileSync('cp', ['-a', join(first, 'postgres'), join(second, 'postgres')]); // keeps the owner
  writeFileSync(join(second, 'postgres', 'standby.signal'), '');
  const primary = await startPostgresIn(takeDataDir(first), FAST_AND_FORGETFUL);
  t.teardown(primary.stop);
  const standby = await startPostgresIn(takeDataDir(second), [
    ...FAST_AND_FORGETFUL,
    'hot_standby=on',
  ]);
  t.teardown(standby.stop);
  const ports = [standby, primary].map(({ url }) => Number(new URL(url('postgres')).port));
  const { password } = new URL(primary.url('postgres'));
  const hosts = ports.map((port) => `127.0.0.1:${port}`).join(',');
  const config = {
    DATABASE_URL: `postgres://postgres:${password}@${hosts}/postgres`,
    POOL_SIZE_MAX: 2,
  };
  const pool = await openPool(config, silent);
  t.teardown(() => pool.end());
  const portNow = () => pool.oneFirst(sql.type(Port)`SELECT inet_server_port() AS port`);
  t.is(await portNow(), ports[1] ?? 0);
  await t.throwsAsync(
    openPool(
      { ...config, DATABASE_URL: standby.url('postgres?target_session_attrs=read-write') },
      silent,
    ),
    {
      message: 'the server is a standby, which is read-only',
    },
  );

  await primary.stop();
  const promoting = await connect(t, standby.url('postgres'));
  await promoting.query('SELECT pg_promote()');

  const found = await until('a connection to the new primary', () => portNow().catch(() => null));
  t.is(found, ports[0] ?? 0);
});
