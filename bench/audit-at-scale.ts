import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { sql } from 'slonik';
import { addHead } from '../src/audit/heads.ts';
import { newSigningKey, readSigner } from '../src/audit/keys.ts';
import { openSession } from '../src/audit/session.ts';

const SAMPLE_MS = 250;

/** What a whole audit took: the wall clock, and the most memory that the process ever had. */
export type AuditCost = { seconds: number; peakMb: number; exitCode: number | null };

/**
 * Signs a head over everything, as the daily job would, and then times `npm run audit` as a process of its
 * own. The orders that were filled in are hours old, so standing still for that long is allowed first.
 */
export async function timeAudit(databaseUrl: string): Promise<AuditCost> {
  const dir = mkdtempSync(join(tmpdir(), 'oms-bench-audit-'));
  const keyFile = join(dir, 'audit-key.pem');
  writeFileSync(keyFile, newSigningKey(), { mode: 0o600 });
  const session = await openSession(databaseUrl);
  await session.query(
    sql.unsafe`ALTER DATABASE orders SET oms.audit_bound_on_progress = '30 days'`,
  );
  await addHead(session, readSigner(keyFile));
  await session.end();

  const start = performance.now();
  const child = spawn(process.execPath, [...process.execArgv, 'src/audit.ts'], {
    env: { ...process.env, DATABASE_URL: databaseUrl, AUDIT_SIGNING_KEY_FILE: keyFile },
    stdio: 'inherit',
  });
  let peakMb = 0;
  const sampling = setInterval(() => (peakMb = peakMbOf(child.pid) ?? peakMb), SAMPLE_MS);
  const [exitCode] = (await once(child, 'exit')) as [number | null];
  clearInterval(sampling);
  rmSync(dir, { recursive: true });
  return { seconds: (performance.now() - start) / 1000, peakMb, exitCode };
}

/** VmHWM, see proc(5). Undefined once the process has ended. */
function peakMbOf(pid = 0): number | undefined {
  try {
    const kb = /VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
    return kb === undefined ? undefined : Number(kb) / 1024;
  } catch {
    return undefined;
  }
}
