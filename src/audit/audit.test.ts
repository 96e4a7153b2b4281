import { spawn } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import type { ExecutionContext } from 'ava';
import { asSuperuser, makeKey, tamper } from '../../test/support/audit.ts';
import {
  drain,
  emptyDatabase,
  ownService,
  signUp,
  test,
  type Context,
} from '../../test/support/context.ts';
import { insertOrders } from '../../test/support/orders.ts';
import { temporaryFolder } from '../../test/support/processes.ts';
import { databaseUrl } from '../../test/support/template.ts';
import { readPublicKeys } from './keys.ts';
import { parseOptions } from './options.ts';
import { bar } from './progress.ts';
import { runAudit } from './run.ts';
import { verifyEvidence } from './verify.ts';

const ROUNDS_PER_AUDIT = 10;
const PROGRAM = fileURLToPath(new URL('../audit.ts', import.meta.url));

/** Runs npm run audit's program where no `.env` lies about. */
async function audit(cwd: string, args: string[], env: Record<string, string> = {}) {
  const { PATH, NODE_V8_COVERAGE } = process.env;
  const child = spawn(process.execPath, [PROGRAM, ...args], {
    cwd,
    env: { PATH, ...(NODE_V8_COVERAGE && { NODE_V8_COVERAGE }), ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const exited = new Promise<number | null>((resolve) => child.once('exit', resolve));
  const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr)]);
  return { code: await exited, stdout, stderr };
}

async function serviceWithOrders(t: ExecutionContext<Context>, count: number) {
  const service = await ownService(t);
  const user = await signUp(service);
  const ids = await insertOrders(service.deps, user.id, count);
  await drain(service.deps, 'process-order');
  const env = { AUDIT_DATABASE_URL: databaseUrl(service.database) };
  return { service, ids, env, cwd: temporaryFolder(t) };
}

test('a healthy database is clean, and an empty one too: exit code 0', async (t) => {
  const { cwd, env } = await serviceWithOrders(t, 5);
  const empty = await ownService(t);

  const result = await audit(cwd, [], env);
  const nothing = await audit(cwd, [], { DATABASE_URL: databaseUrl(empty.database) });

  t.deepEqual([result.code, result.stderr], [0, '']);
  t.regex(result.stdout, /^5 orders audited in \d+\.\d s: no violation$/m);
  t.deepEqual([nothing.code, nothing.stderr], [0, '']);
});

test('violations are listed, counted, and make exit code 1', async (t) => {
  const { service, ids, cwd, env } = await serviceWithOrders(t, 3);
  await tamper(service, [`UPDATE orders SET status = 'FAILED' WHERE id = $1`, [ids[1]]]);

  const result = await audit(cwd, [], env);
  const json = await audit(cwd, ['--json'], env);

  t.is(result.code, 1);
  t.regex(result.stdout, new RegExp(`^I5 +critical +${ids[1]} +\\{.*another status`, 'm'));
  t.regex(result.stdout, /^3 orders audited .* 1 violation \(I5: 1\)$/m);
  t.is(json.code, 1);
  t.like(JSON.parse(json.stdout), { clean: false, orders: 3, counts: { I5: 1 }, not_listed: 0 });
});

test('what cannot run says so in one line, and makes exit code 2', async (t) => {
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
      /^Signing takes a key: openssl genpkey -algorithm ed25519 -out/,
    ],
    [
      ['--evidence', 'e.json'],
      { ...env, AUDIT_SIGNING_KEY_FILE: 'gone.pem' },
      /^The key file gone\.pem cannot be read; make a key with openssl genpkey .* gone\.pem$/,
    ],
    [['--verify', 'e.json'], {}, /^Verifying takes the public key from a source you trust/],
  ];

  for (const [args, settings, line] of attempts) {
    const { code, stdout, stderr } = await audit(cwd, args, settings);
    t.deepEqual([code, stdout], [2, ''], stderr);
    t.regex(stderr.trimEnd(), line);
    t.is(stderr.trimEnd().split('\n').length, 1);
  }
});

test('--help says what there is', async (t) => {
  const { code, stdout } = await audit(temporaryFolder(t), ['--help']);

  t.is(code, 0);
  for (const option of ['--since', '--json', '--evidence', '--verify', '--key'])
    t.true(stdout.includes(option));
});

test('windows find the same as one look at everything, orphaned jobs at both ends included', async (t) => {
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

test('--since leaves out what nothing has happened to', async (t) => {
  const { service, ids, cwd, env } = await serviceWithOrders(t, 4);
  const [old] = ids;
  await tamper(
    service,
    [`UPDATE order_events SET at = at - interval '2 days' WHERE order_id = $1`, [old]],
    ['DELETE FROM pgboss.job WHERE id = $1', [old]],
  );

  const recent = await audit(cwd, ['--since', '24h', '--json'], env);
  const all = await audit(cwd, ['--since', '2020-01-01', '--json'], env);

  t.like(JSON.parse(recent.stdout), { clean: true, orders: 3 });
  t.like(JSON.parse(all.stdout), { clean: false, orders: 4, counts: { I7: 3 } });
});

test('many violations are counted in full and listed in part', async (t) => {
  const { service, cwd, env } = await serviceWithOrders(t, 130);
  await tamper(service, [`UPDATE orders SET status = 'FAILED'`]);

  const { code, stdout } = await audit(cwd, [], env);

  t.is(code, 1);
  t.is(stdout.match(/^I5 /gm)?.length, 100);
  t.regex(stdout, /^… and 30 more$/m);
  t.regex(stdout, /130 violations \(I5: 130\)/);
});

test('an auditor can run it, and can change nothing', async (t) => {
  const { service, cwd } = await serviceWithOrders(t, 2);
  const login = new URL(databaseUrl(service.database));
  login.searchParams.set('options', '-c role=oms_auditor');
  const { keyFile } = makeKey(cwd);

  const env = { AUDIT_DATABASE_URL: login.href, AUDIT_SIGNING_KEY_FILE: keyFile };
  const { code, stdout, stderr } = await audit(cwd, ['--evidence', 'evidence.json'], env);

  t.deepEqual([code, stderr], [0, '']);
  t.regex(stdout, /^Evidence written to evidence\.json$/m);
});

test('evidence verifies with the key that signed it, and with no other', async (t) => {
  const { cwd, env } = await serviceWithOrders(t, 3);
  const AUDIT_SIGNING_KEY_FILE = makeKey(cwd).keyFile;
  const other = makeKey(cwd, 'other.pem').keyFile;
  await audit(cwd, ['--evidence', 'evidence.json'], { ...env, AUDIT_SIGNING_KEY_FILE });

  const own = await audit(cwd, ['--verify', 'evidence.json'], { AUDIT_SIGNING_KEY_FILE });
  const foreign = await audit(cwd, ['--verify', 'evidence.json', '--key', other]);

  t.is(own.code, 0);
  t.regex(own.stdout, /as signed by key [0-9a-f]{16}$/m);
  t.is(foreign.code, 1);
  t.regex(foreign.stdout, /the signature is by key [0-9a-f]{16}, and not by [0-9a-f]{16}/);
  const { sections } = JSON.parse(readFileSync(join(cwd, 'evidence.json'), 'utf8'));
  t.like(sections.counts, { orders: 3, events: 9, statuses: { COMPLETED: 3 } });
  t.like(sections.counts.jobs, { 'process-order completed': 3 });
  t.regex(sections.chains.sha256, /^[0-9a-f]{64}$/);
});

test('evidence that was altered or cut off does not verify, and the place is named', async (t) => {
  const { cwd, env } = await serviceWithOrders(t, 2);
  const AUDIT_SIGNING_KEY_FILE = makeKey(cwd).keyFile;
  await audit(cwd, ['--evidence', 'evidence.json'], { ...env, AUDIT_SIGNING_KEY_FILE });
  const evidence = readFileSync(join(cwd, 'evidence.json'), 'utf8');
  const verify = async (altered: string) => {
    writeFileSync(join(cwd, 'altered.json'), altered);
    const { code, stdout } = await audit(cwd, ['--verify', 'altered.json'], {
      AUDIT_SIGNING_KEY_FILE,
    });
    t.is(code, 1, stdout);
    return stdout;
  };

  t.regex(
    await verify(evidence.replace('"orders": 2', '"orders": 3')),
    /section counts was altered/,
  );
  t.regex(await verify(evidence.replace('"lsn": "', '"lsn": "1')), /section run was altered/);
  t.regex(
    await verify(evidence.replace('"heads": []', '"heads": [1]')),
    /section heads was altered/,
  );
  t.regex(
    await verify(evidence.replace('"signature": "', '"signature": "A')),
    /the signature is not that/,
  );
  t.regex(await verify(evidence.slice(0, -100)), /cut off or is no JSON/);
  t.regex(await verify(evidence.replace('\n}', '\n }')), /not written as it was: line \d+/);
});

test('any one byte that is altered shows', async (t) => {
  const { cwd, env } = await serviceWithOrders(t, 1);
  const { keyFile } = makeKey(cwd);
  await audit(cwd, ['--evidence', 'evidence.json'], { ...env, AUDIT_SIGNING_KEY_FILE: keyFile });
  const file = join(cwd, 'evidence.json');
  const evidence = readFileSync(file);
  const keys = readPublicKeys(keyFile);

  const unnoticed = [...evidence.keys()].filter((at) => {
    const altered = Buffer.from(evidence);
    altered[at] = (altered[at] ?? 0) ^ 1;
    writeFileSync(file, altered);
    return verifyEvidence(file, keys).problems.length === 0;
  });

  t.true(evidence.length > 1000);
  t.deepEqual(unnoticed, []);
});

test('the chain digest of evidence can be computed by anyone from the events', async (t) => {
  const { service, cwd, env } = await serviceWithOrders(t, 4);
  const AUDIT_SIGNING_KEY_FILE = makeKey(cwd).keyFile;
  await audit(cwd, ['--evidence', 'evidence.json'], { ...env, AUDIT_SIGNING_KEY_FILE });

  const [row] = await asSuperuser(
    service,
    `SELECT encode(sha256(string_agg(uuid_send(e.order_id) || int4send(e.version) || e.hash, '' ORDER BY o.id)), 'hex')
       AS sha256
     FROM orders AS o JOIN order_events AS e ON e.order_id = o.id AND e.version = o.version`,
  );

  const { sections } = JSON.parse(readFileSync(join(cwd, 'evidence.json'), 'utf8'));
  t.deepEqual(sections.chains, row);
});

test('durations and dates are understood', (t) => {
  const now = Date.parse('2026-03-02T00:00:00Z');

  t.is(parseOptions(['--since', '24h'], now).since?.toISOString(), '2026-03-01T00:00:00.000Z');
  t.is(parseOptions(['--since', '90m'], now).since?.toISOString(), '2026-03-01T22:30:00.000Z');
  t.is(
    parseOptions(['--since', '2026-02-01'], now).since?.toISOString(),
    '2026-02-01T00:00:00.000Z',
  );
  t.throws(() => parseOptions(['--evidence', 'x', '--since', '1d']), { message: /--since/ });
});

test('the progress bar shows how far it is', (t) => {
  t.is(bar(620_000, 2_000_000, 17), `[#########${'.'.repeat(21)}]  31 %  620,000 orders  17 s`);
  t.regex(bar(3, 2, 1), /100 %/);
});

// Serial, because it takes a core for itself.
test.serial('an audit in the midst of the work raises no false alarm', async (t) => {
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
    // Bounded, or else the audit would run after orders that come faster than it goes.
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
