/*
 * Runs docker-compose.yml and scripts/deploy on a real Docker engine. Kills and hangs processes in the containers, adds
 * an API container, and makes upgrades that fail and one that works, while customers place orders.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from '../../src/local/free-port.ts';
import { explain } from '../../src/process.ts';
import { registerAndLogIn } from '../../test/support/accounts.ts';
import { until } from '../../test/support/until.ts';
import type { Drill } from '../drill.ts';
import { Deployment } from './deployment.ts';
import { startEngine, type Engine } from './engine.ts';
import { steps, type Step } from './steps.ts';
import { findWeaknesses } from './hardening.ts';
import { startLoad, type LoadFigures } from './load.ts';
import { AUDITOR_PASSWORD, copyProject } from './project.ts';
import { makeStandIns } from './stand-ins.ts';

/** After this time, no further step begins. */
const TIMEOUT_MS = 540_000;

type Say = (line: string) => void;

/** The drill `compose`. All is as promised when each step is, no order is lost or doubled, and the audit is clean. */
export const compose: Drill = {
  what: 'runs docker-compose.yml on a real engine, with kills and upgrades (about 6 minutes; needs root)',
  async run(say, stop) {
    const dir = mkdtempSync(join(tmpdir(), 'oms-compose-'));
    try {
      const engine = await startEngine(dir, say);
      try {
        await describeEngine(engine, say);
        await makeStandIns(engine, dir);
        const port = await freePort();
        const deployment = new Deployment(engine, copyProject(dir, port));
        try {
          const end = AbortSignal.any([stop, AbortSignal.timeout(TIMEOUT_MS)]);
          return await drill(deployment, `http://127.0.0.1:${port}`, say, end);
        } finally {
          await deployment.compose('down', '--volumes', '--timeout', '2');
        }
      } finally {
        await engine.stop();
      }
    } finally {
      rmSync(dir, { recursive: true, force: true });
    }
  },
};

async function drill(
  deployment: Deployment,
  origin: string,
  say: Say,
  stop: AbortSignal,
): Promise<boolean> {
  const begin = performance.now();
  await deployment.deploy();
  say(
    `scripts/deploy starts everything in ${secondsSince(begin)} s, the build of the image included`,
  );
  const weaknesses = await findWeaknesses(deployment);
  say(`hardening, limits and secrets of each service: ${weaknesses.join('; ') || 'as promised'}`);

  const load = startLoad(origin, await registerAndLogIn({ origin }));
  let isKept = weaknesses.length === 0;
  let accepted: string[] = [];
  say(row(['what happens', 'requests', 'failed', 'longest wait', 'result']));
  try {
    for (const step of steps) {
      stop.throwIfAborted();
      load.take();
      const outcome = await step.happen(deployment);
      const figures = load.take();
      const isRight = outcome.isAsPromised && (!step.isSmooth || figures.failed === 0);
      isKept &&= isRight;
      say(describe(step, figures, isRight ? outcome.result : `${outcome.result}: NOT AS PROMISED`));
    }
  } finally {
    accepted = await load.stop();
  }
  return (await isEveryOrderThere(deployment, accepted, say)) && isKept;
}

function describe({ what }: Step, figures: LoadFigures, result: string): string {
  const { requests, failed, reasons, longestMs } = figures;
  const why = reasons.length > 0 ? `${failed} (${reasons.join(', ')})` : String(failed);
  return row([what, String(requests), why, `${(longestMs / 1000).toFixed(1)} s`, result]);
}

function row(cells: string[]): string {
  const widths = [40, 8, 24, 12];
  return cells.map((cell, at) => cell.padEnd(widths[at] ?? 0)).join('  ');
}

/** Compares the accepted orders with those in the database, and runs the audit in the image. */
async function isEveryOrderThere(
  deployment: Deployment,
  accepted: string[],
  say: Say,
): Promise<boolean> {
  const open = `SELECT 1 FROM orders WHERE status IN ('PENDING', 'PROCESSING') LIMIT 1`;
  await until(
    'every order to end',
    async () => (await deployment.query(open)).length === 0,
    120_000,
  );
  const stored = await deployment.query('SELECT id FROM orders');
  const known = new Set(stored);
  const lost = accepted.filter((id) => !known.has(id)).length;
  const extra = stored.length - new Set(accepted).size;
  await deployment.query(
    `CREATE ROLE drill_auditor LOGIN PASSWORD '${AUDITOR_PASSWORD}' IN ROLE oms_auditor`,
  );
  say(`orders: ${accepted.length} accepted, ${lost} lost, ${extra} doubled`);
  const report = await deployment.compose('run', '--rm', 'audit').catch((error: unknown) => {
    say(explain(error)); // the audit found violations
    return null;
  });
  if (report) say(`audit: ${report.split('\n').at(-1)}`);
  return lost === 0 && extra === 0 && report !== null;
}

async function describeEngine({ run }: Engine, say: Say): Promise<void> {
  const docker = await run(['docker', 'version', '--format', '{{.Server.Version}}']);
  const version = await run(['docker', 'compose', 'version', '--short']);
  say(`Docker ${docker} with Compose ${version}, from Debian's packages`);
}

function secondsSince(begin: number): number {
  return Math.round((performance.now() - begin) / 1000);
}
