import type { Container, Deployment } from './deployment.ts';

/** How a step went. Whether orders are lost is checked after the last step. */
type Outcome = { result: string; isAsPromised: boolean };

/** One step of the drill: something that happens to the service under load. */
export type Step = {
  what: string;
  /** No request may fail meanwhile. */
  isSmooth?: boolean;
  happen: (deployment: Deployment) => Promise<Outcome>;
};

const COUNTS: Record<string, number> = { api: 2, worker: 2 };
const API_SCALED = 3;
const QUIET_MS = 5_000;
const BROKEN_MIGRATION = 'CREATE TABLE drill_upgrade (id int);\nSELECT 1 / 0;\n';
const MIGRATION = 'CREATE TABLE drill_upgrade (id int);\n';

/** The steps, in their order. */
export const steps: Step[] = [
  { what: 'nothing, for comparison', isSmooth: true, happen: quiet },
  { what: 'SIGKILL to an API container', happen: kill('api') },
  { what: 'SIGKILL to a worker container', isSmooth: true, happen: kill('worker') },
  { what: 'SIGKILL to Redis', happen: kill('redis') },
  { what: 'SIGKILL to Postgres', happen: kill('postgres') },
  { what: 'SIGKILL to the proxy', happen: kill('proxy') },
  { what: 'SIGSTOP to the process of an API', happen: hang('api') },
  { what: 'SIGSTOP to the process of a worker', isSmooth: true, happen: hang('worker') },
  { what: `docker compose up --scale api=${API_SCALED}`, isSmooth: true, happen: scaleUp },
  { what: 'scripts/deploy, its migration fails', isSmooth: true, happen: failUpgrade },
  { what: 'scripts/deploy, its API does not start', isSmooth: true, happen: failStart },
  { what: 'scripts/deploy, all works', isSmooth: true, happen: upgrade },
];

async function quiet(): Promise<Outcome> {
  await new Promise((resolve) => setTimeout(resolve, QUIET_MS));
  return { result: 'works', isAsPromised: true };
}

/** Kills the first process of a container, and so the container. */
function kill(service: string) {
  return async (deployment: Deployment) => {
    const victim = await deployment.firstOf(service);
    return untilBack(deployment, service, victim, victim.State.Pid, 'SIGKILL');
  };
}

/** Freezes the process of the service in a container: its port stays open, and nothing answers. */
function hang(service: string) {
  return async (deployment: Deployment) => {
    const victim = await deployment.firstOf(service);
    const pid = await deployment.processOf(victim);
    return untilBack(deployment, service, victim, pid, 'SIGSTOP');
  };
}

async function untilBack(
  deployment: Deployment,
  service: string,
  victim: Container,
  pid: number,
  signal: NodeJS.Signals,
): Promise<Outcome> {
  const begin = performance.now();
  process.kill(pid, signal);
  await deployment.untilRestarted(service, victim);
  await deployment.untilHealthy(service, COUNTS[service] ?? 1);
  const seconds = Math.round((performance.now() - begin) / 1000);
  await deployment.untilHealthy('api', COUNTS['api'] ?? 1);
  return { result: `started again, healthy after ${seconds} s`, isAsPromised: true };
}

async function scaleUp(deployment: Deployment): Promise<Outcome> {
  await up(deployment);
  await deployment.untilHealthy('api', API_SCALED);
  return { result: `${API_SCALED} API containers`, isAsPromised: true };
}

function failUpgrade(deployment: Deployment): Promise<Outcome> {
  deployment.project.setMigration(BROKEN_MIGRATION);
  return refuse(deployment, 'The migration failed and has changed nothing');
}

function failStart(deployment: Deployment): Promise<Outcome> {
  deployment.project.removeMigration();
  deployment.project.setBroken(true);
  return refuse(deployment, 'The new API processes did not get ready');
}

/** A deployment fails, and then the operator runs `docker compose up --build` out of habit. */
async function refuse(deployment: Deployment, reason: string): Promise<Outcome> {
  const before = await startsOf(deployment);
  const output = await deployment.deploy().catch((error: Error) => error.message);
  await up(deployment, '--build');
  const isUntouched = (await startsOf(deployment)) === before;
  return {
    result: isUntouched ? 'refused, no container replaced' : 'containers replaced',
    isAsPromised: isUntouched && output.includes(reason),
  };
}

async function upgrade(deployment: Deployment): Promise<Outcome> {
  const before = new Set((await deployment.containers('api')).map(({ Id }) => Id));
  deployment.project.setBroken(false);
  deployment.project.setMigration(MIGRATION);
  await deployment.deploy();
  const after = await deployment.containers('api');
  const isNew = after.every(({ Id }) => !before.has(Id));
  const isMigrated = (await deployment.query(`SELECT to_regclass('drill_upgrade')`)).length === 1;
  return {
    result: `${after.length} new API containers`,
    isAsPromised: isNew && isMigrated && after.length === API_SCALED,
  };
}

function up(deployment: Deployment, ...options: string[]): Promise<string> {
  const scale = ['--scale', `api=${API_SCALED}`];
  return deployment.compose('up', '--detach', '--wait', ...options, ...scale);
}

/** The containers of API and workers, and when each was started. */
async function startsOf(deployment: Deployment): Promise<string> {
  const all = [await deployment.containers('api'), await deployment.containers('worker')].flat();
  const starts = all.map(({ Id, State }) => `${Id} ${State.StartedAt}`);
  return starts.toSorted().join('\n');
}
