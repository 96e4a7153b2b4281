import type { PgBoss } from 'pg-boss';
import { pino } from 'pino';
import { sql } from 'slonik';
import { z } from 'zod';
import { closeDeps, openDeps } from '../../src/deps.ts';
import { createQueue } from '../../src/queue/boss.ts';
import { startConsumers } from '../../src/worker.ts';
import { asSuperuser } from '../support/audit.ts';
import { lookUp, ownService, signUp, test } from '../support/context.ts';
import { testConfig } from '../support/template.ts';
import { until } from '../support/until.ts';
import { untilOrderIs } from '../support/workers.ts';

// A whole worker, with the rights of oms_worker only.

test('a worker runs every scheduled job, without an error of the queue from start to stop', async (t) => {
  const service = await ownService(t);
  await asSuperuser(service, `UPDATE pgboss.schedule SET cron = '* * * * *'`);
  const lines: { level: number; msg: string; err?: { message: string } }[] = [];
  const log = pino({ level: 'warn' }, { write: (line) => void lines.push(JSON.parse(line)) });
  const config = testConfig(service.database, {}, 'oms_worker');
  const base = { ...(await openDeps(config, 'worker')), log };
  const queue = createQueue(config, log);
  await queue.boss.start();
  const { stop } = await startConsumers({ ...base, boss: queue.boss });
  const id = await (await signUp(service)).place();

  await untilOrderIs(service.deps, id, 'COMPLETED');
  await until('every scheduled job to complete', async () => {
    wakeScheduler(queue.boss);
    const Row = z.object({ name: z.string(), state: z.string().nullable() });
    const jobs = await service.deps.pool.any(sql.type(Row)`
      SELECT s.name, j.state::text FROM pgboss.schedule AS s
      LEFT JOIN pgboss.job AS j ON j.name = s.name AND j.id = s.last_job_id
      ORDER BY s.name
    `);
    return jobs.length === 3 && jobs.every(({ state }) => state === 'completed');
  });
  await stop();
  await queue.close(2);
  await closeDeps(base);
  const sent = await asSuperuser(
    service,
    `SELECT DISTINCT state FROM pgboss.job WHERE name LIKE '\\_\\_pgboss%'`,
  );

  t.deepEqual(
    lines.filter(({ msg }) => msg !== 'daily head is not signed: set AUDIT_SIGNING_KEY_FILE'),
    [],
  );
  t.deepEqual(sent, [{ state: 'completed' }]); // a job that cannot be completed is sent again without a log line
  t.is((await lookUp(service.deps, id)).job, 'completed');
  const [process] = await asSuperuser(
    service,
    `SELECT stopped_on FROM pgboss.instance WHERE name = 'worker'`,
  );
  t.truthy(process?.stopped_on);
});

/** Makes pg-boss check for due schedules now. By itself it checks every 30 s. */
function wakeScheduler(boss: PgBoss): void {
  for (const { id, name } of boss.getWipData({ includeInternal: true })) {
    if (name.startsWith('__pgboss__')) boss.notifyWorker(id);
  }
}
