import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { runAuditCommand, serviceWithOrders } from '../../test/support/audit-command.ts';
import { asSuperuser, makeKey } from '../../test/support/audit.ts';
import { test } from '../../test/support/context.ts';
import { readPublicKeys } from './keys.ts';
import { verifyEvidence } from './verify.ts';

test('evidence verifies with the key that signed it, and with no other', async (t) => {
  const { cwd, env } = await serviceWithOrders(t, 3);
  const AUDIT_SIGNING_KEY_FILE = makeKey(cwd).keyFile;
  const other = makeKey(cwd, 'other.pem').keyFile;
  await runAuditCommand(cwd, ['--evidence', 'evidence.json'], { ...env, AUDIT_SIGNING_KEY_FILE });

  const own = await runAuditCommand(cwd, ['--verify', 'evidence.json'], { AUDIT_SIGNING_KEY_FILE });
  const foreign = await runAuditCommand(cwd, ['--verify', 'evidence.json', '--key', other]);

  t.is(own.code, 0);
  t.regex(own.stdout, /unchanged since key [0-9a-f]{16} signed it$/m);
  t.is(foreign.code, 1);
  t.regex(foreign.stdout, /the signature is by key [0-9a-f]{16}, not by [0-9a-f]{16}/);
  const { sections } = JSON.parse(readFileSync(join(cwd, 'evidence.json'), 'utf8'));
  t.like(sections.counts, { orders: 3, events: 9, statuses: { COMPLETED: 3 } });
  t.like(sections.counts.jobs, { 'process-order completed': 3 });
  t.regex(sections.chains.sha256, /^[0-9a-f]{64}$/);
});

test('evidence that was altered or cut off does not verify, and the problem names the place', async (t) => {
  const { cwd, env } = await serviceWithOrders(t, 2);
  const AUDIT_SIGNING_KEY_FILE = makeKey(cwd).keyFile;
  await runAuditCommand(cwd, ['--evidence', 'evidence.json'], { ...env, AUDIT_SIGNING_KEY_FILE });
  const evidence = readFileSync(join(cwd, 'evidence.json'), 'utf8');
  const verify = async (altered: string) => {
    writeFileSync(join(cwd, 'altered.json'), altered);
    const { code, stdout } = await runAuditCommand(cwd, ['--verify', 'altered.json'], {
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
    /the signature does not match/,
  );
  t.regex(await verify(evidence.slice(0, -100)), /cut off or not JSON/);
  t.regex(await verify(evidence.replace('\n}', '\n }')), /differs from what was written: line \d+/);
});

test('a change of any single byte is found', async (t) => {
  const { cwd, env } = await serviceWithOrders(t, 1);
  const { keyFile } = makeKey(cwd);
  await runAuditCommand(cwd, ['--evidence', 'evidence.json'], {
    ...env,
    AUDIT_SIGNING_KEY_FILE: keyFile,
  });
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

test('the chain digest of evidence can be recomputed from the events', async (t) => {
  const { service, cwd, env } = await serviceWithOrders(t, 4);
  const AUDIT_SIGNING_KEY_FILE = makeKey(cwd).keyFile;
  await runAuditCommand(cwd, ['--evidence', 'evidence.json'], { ...env, AUDIT_SIGNING_KEY_FILE });

  const [row] = await asSuperuser(
    service,
    `SELECT encode(sha256(string_agg(uuid_send(e.order_id) || int4send(e.version) || e.hash, '' ORDER BY o.id)), 'hex')
       AS sha256
     FROM orders AS o JOIN order_events AS e ON e.order_id = o.id AND e.version = o.version`,
  );

  const { sections } = JSON.parse(readFileSync(join(cwd, 'evidence.json'), 'utf8'));
  t.deepEqual(sections.chains, row);
});
