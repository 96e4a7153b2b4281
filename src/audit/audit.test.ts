import { runAuditCommand, serviceWithOrders } from '../../test/support/audit-command.ts';
import { asSuperuser, makeKey, tamper } from '../../test/support/audit.ts';
import { drain, emptyDatabase, ownService, signUp, test } from '../../test/support/context.ts';
import { insertOrders } from '../../test/support/orders.ts';
import { temporaryFolder } from '../../test/support/processes.ts';
import { databaseUrl } from '../../test/support/template.ts';
import { parseOptions } from './options.ts';
import { bar } from './progress.ts';
import { runAudit } from './run.ts';

const ROUNDS_PER_AUDIT = 10;

test('the audit finds nothing in a healthy database or an empty one, and exits with 0', async (t) => {
  const { cwd, env } = await serviceWithOrders(t, 5);
  const empty = await ownService(t);

  const result = await runAuditCommand(cwd, [], env);
  const nothing = await runAuditCommand(cwd, [], { DATABASE_URL: databaseUrl(empty.database) });

  t.deepEqual([result.code, result.stderr], [0, '']);
  t.regex(result.stdout, /^5 orders audited in \d+\.\d s: no violation$/m);
  t.deepEqual([nothing.code, nothing.stderr], [0, '']);
});

test('the audit lists and counts violations, and exits with 1', async (t) => {
  const { service, ids, cwd, env } = await serviceWithOrders(t, 3);
  await tamper(service, [`UPDATE orders SET status = 'FAILED' WHERE id = $1`, [ids[1]]]);

  const result = await runAuditCommand(cwd, [], env);
  const json = await runAuditCommand(cwd, ['--json'], env);

  t.is(result.code, 1);
  t.regex(result.stdout, new RegExp(`^I5 +critical +${ids[1]} +\\{.*another status`, 'm'));
  t.regex(result.stdout, /^3 orders audited .* 1 violation \(I5: 1\)$/m);
  t.is(json.code, 1);
  t.like(JSON.parse(json.stdout), { clean: false, orders: 3, counts: { I5: 1 }, not_listed: 0 });
});

test('an audit that cannot run says why in one line, and exits with 2', async (t) => {
  const { cwd, env } = await serviceWithOrders(t, 0);
  const bare = databaseUrl(await emptyDatabase(t));
  const attempts: [args: string[], env: Record<string, string>, line: RegExp][] = [
    [['--all'], env, /^Unknown option '--all'; .*--help/],
    [
      ['--since', 'yesterday'],
      env,
      /^--since takes a duration such as 24h or a date, not yesterday$/,
    ],
    [[], {}, /^Configuration: AUDIT_DATABASE_URL or DATABASE_URL is required$/],
    [[], { DATABASE_URL: 'nonsense' }, /^Configuration: DATABASE_URL must be a postgres:\/\/ URL$/],
    [[], { DATABASE_URL: 'postgres://127.0.0.1:1/none' }, /^Nothing answers at the address/],
    [[], { DATABASE_URL: bare }, /^This database has no schema audit: run npm run migrate first$/],
    [
      ['--evidence', 'e.json'],
      env,
      /^Signing needs a key: openssl genpkey -algorithm ed25519 -out/,
    ],
    [
      ['--evidence', 'e.json'],
      { ...env, AUDIT_SIGNING_KEY_FILE: 'gone.pem' },
      /^The key file gone\.pem cannot be read; make a key with openssl genpkey .* gone\.pem$/,
    ],
    [['--verify', 'e.json'], {}, /^Verifying needs the public key from a source that you trust/],
  ];

  for (const [args, settings, line] of attempts) {
    const { code, stdout, stderr } = await runAuditCommand(cwd, args, settings);
    t.deepEqual([code, stdout], [2, ''], stderr);
    t.regex(stderr.trimEnd(), line);
    t.is(stderr.trimEnd().split('\n').length, 1);
  }
});

test('--help lists the options', async (t) => {
  const { code, stdout } = await runAuditCommand(temporaryFolder(t), ['--help']);

  t.is(code, 0);
  for (const option of ['--since', '--json', '--evidence', '--verify', '--key'])
    t.true(stdout.includes(option));
});

test('windows of any size find the same violations, including orphaned jobs at both ends', async (t) => {
  const { service, ids } = await serviceWithOrders(t, 7);
  await tamper(service, [
    `UPDATE orders SET status = 'FAILED' WHERE id = ANY($1)`,
    [ids.slice(2, 5)],
  ]);
  for (const id of [
    '00000000-0000-0000-0000-000000000000',
    'ffffffff-ffff-ffff-ffff-ffffffffffff',
  ]) {
    const insert = `INSERT INTO pgboss.job (id, name, data) VALUES ($1, 'process-order', $2)`;
    await asSuperuser(service, insert, [id, { order_id: id }]);
  }

  for (const windowOrders of [1, 2, 3, 7, 100]) {
    const { findings } = await runAudit({
      databaseUrl: databaseUrl(service.database),
      keys: null,
      windowOrders,
    });
    t.is(findings.orders, 7);
    t.deepEqual(findings.counts, { I2: 2, I5: 3 }, `windows of ${windowOrders}`);
  }
});

test('--since checks only orders with an event or a job since that time', async (t) => {
  const { service, ids, cwd, env } = await serviceWithOrders(t, 4);
  const [old] = ids;
  await tamper(
    service,
    [`UPDATE order_events SET at = at - interval '2 days' WHERE order_id = $1`, [old]],
    ['DELETE FROM pgboss.job WHERE id = $1', [old]],
  );

  const recent = await runAuditCommand(cwd, ['--since', '24h', '--json'], env);
  const all = await runAuditCommand(cwd, ['--since', '2020-01-01', '--json'], env);

  t.like(JSON.parse(recent.stdout), { clean: true, orders: 3 });
  t.like(JSON.parse(all.stdout), { clean: false, orders: 4, counts: { I7: 3 } });
});

test('of many violations, all are counted and the first 100 are listed', async (t) => {
  const { service, cwd, env } = await serviceWithOrders(t, 130);
  await tamper(service, [`UPDATE orders SET status = 'FAILED'`]);

  const { code, stdout } = await runAuditCommand(cwd, [], env);

  t.is(code, 1);
  t.is(stdout.match(/^I5 /gm)?.length, 100);
  t.regex(stdout, /^… and 30 more$/m);
  t.regex(stdout, /130 violations \(I5: 130\)/);
});

test('the role of an auditor can run the audit', async (t) => {
  const { service, cwd } = await serviceWithOrders(t, 2);
  const login = new URL(databaseUrl(service.database));
  login.searchParams.set('options', '-c role=oms_auditor');
  const { keyFile } = makeKey(cwd);

  const env = { AUDIT_DATABASE_URL: login.href, AUDIT_SIGNING_KEY_FILE: keyFile };
  const { code, stdout, stderr } = await runAuditCommand(cwd, ['--evidence', 'evidence.json'], env);

  t.deepEqual([code, stderr], [0, '']);
  t.regex(stdout, /^Evidence written to evidence\.json$/m);
});

test('--since accepts durations and dates', (t) => {
  const now = Date.parse('2026-03-02T00:00:00Z');

  t.is(parseOptions(['--since', '24h'], now).since?.toISOString(), '2026-03-01T00:00:00.000Z');
  t.is(parseOptions(['--since', '90m'], now).since?.toISOString(), '2026-03-01T22:30:00.000Z');
  t.is(
    parseOptions(['--since', '2026-02-01'], now).since?.toISOString(),
    '2026-02-01T00:00:00.000Z',
  );
  t.throws(() => parseOptions(['--evidence', 'x', '--since', '1d']), { message: /--since/ });
});

test('the progress bar shows the share of orders that are done', (t) => {
  t.is(bar(620_000, 2_000_000, 17), `[#########${'.'.repeat(21)}]  31 %  620,000 orders  17 s`);
  t.regex(bar(3, 2, 1), /100 %/);
});

// Serial, because it uses a whole core.
test.serial('an audit during traffic raises no false alarm', async (t) => {
  const service = await ownService(t);
  const user = await signUp(service);
  const counts: object[] = [];
  let done = 0;

  for (let run = 0; run < 10; run += 1) {
    const audited = runAudit({
      databaseUrl: databaseUrl(service.database),
      keys: null,
      windowOrders: 3,
    });
    // Bounded: otherwise orders may arrive faster than the audit checks them.
    for (let round = 0; round < ROUNDS_PER_AUDIT; round += 1) {
      const ids = await insertOrders(service.deps, user.id, 5);
      await user.request('PUT', `/orders/${ids[0]}/cancellation`);
      done += (await drain(service.deps, 'process-order')).length;
    }
    counts.push((await audited).findings.counts);
  }

  t.true(done > 0);
  t.deepEqual(
    counts,
    Array.from({ length: 10 }, () => ({})),
  );
});
