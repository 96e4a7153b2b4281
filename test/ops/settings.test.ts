import { ownService, test } from '../support/context.ts';
import { connectDba } from '../support/dba.ts';
import { onServer } from '../support/template.ts';

test('ops.settings shows what a database and its roles have set, and whether it has an effect', async (t) => {
  const service = await ownService(t);
  for (const setting of ['DateStyle = German', 'enable_hashjoin = off', 'synchronous_commit = off'])
    await onServer(`ALTER DATABASE ${service.database} SET ${setting}`);
  await onServer(`ALTER DATABASE ${service.database} SET default_transaction_read_only = on`);
  await onServer(`ALTER ROLE oms_api IN DATABASE ${service.database} SET work_mem = '1MB'`);
  const dba = await connectDba(t, service, 'oms_dba_read');

  const rows = await dba.rows(
    `SELECT scope, setting, value, effect FROM ops.settings
     WHERE scope IN ('database', 'role oms_api') ORDER BY scope, lower(setting)`,
  );

  t.deepEqual(rows, [
    { scope: 'database', setting: 'DateStyle', value: 'german', effect: 'none' },
    {
      scope: 'database',
      setting: 'default_transaction_read_only',
      value: 'on',
      effect: 'nothing is written, and requests get 503',
    },
    {
      scope: 'database',
      setting: 'enable_hashjoin',
      value: 'off',
      effect: 'plans of queries can be slower',
    },
    { scope: 'database', setting: 'synchronous_commit', value: 'off', effect: 'none' },
    { scope: 'role oms_api', setting: 'work_mem', value: '1MB', effect: 'applies' },
  ]);
});
