import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { sql } from 'slonik';
import { addHead } from '../src/audit/heads.ts';
import { newSigningKey, readSigner } from '../src/audit/keys.ts';
import { openSession } from '../src/audit/session.ts';
import { SERVICE_FLAGS } from './process.ts';

const SAMPLE_MS = 250;

/** The duration of a whole audit, and the memory peak of its process. */
type AuditCost = { seconds: number; peakMb: number; exitCode: number | null };

/**
 * Signs a head over all events, as the daily job does, and then measures the command `npm run audit` in a process of
 * its own. The generated orders are hours old. So the bound on time without progress is raised first.
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
  const audit = fileURLToPath(new URL('../src/audit.ts', import.meta.url));
  const child = spawn(process.execPath, [...SERVICE_FLAGS, audit], {
    cwd: dir, // has no .env
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

/** VmHWM, see proc(5). Undefined after the process has ended. */
function peakMbOf(pid = 0): number | undefined {
  try {
    const kb = /VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
    return kb === undefined ? undefined : Number(kb) / 1024;
  } catch {
    return undefined;
  }
}
