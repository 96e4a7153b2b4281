import { until } from '../../test/support/until.ts';
import { ReadableError } from '../../src/process.ts';
import type { Engine } from './engine.ts';
import type { Project } from './project.ts';

const TIMEOUT_MS = 120_000;

/** A container, as `docker inspect` shows it. */
export type Container = {
  Id: string;
  State: { Pid: number; StartedAt: string; Running: boolean; Health?: { Status: string } };
  Config: { Env: string[] };
  HostConfig: {
    ReadonlyRootfs: boolean;
    CapAdd: string[] | null;
    CapDrop: string[] | null;
    SecurityOpt: string[] | null;
    Memory: number;
    PidsLimit: number | null;
    LogConfig: { Config: Record<string, string> };
    RestartPolicy: { Name: string };
  };
};

/** The copy of the project that runs on the engine, and the commands of an operator. */
export class Deployment {
  readonly #engine: Engine;
  readonly project: Project;

  constructor(engine: Engine, project: Project) {
    this.#engine = engine;
    this.project = project;
  }

  compose(...args: string[]): Promise<string> {
    return this.#run('docker', 'compose', ...args);
  }

  deploy(): Promise<string> {
    return this.#run('sh', 'scripts/deploy');
  }

  /** The containers of a service of docker-compose.yml, also those that have ended. */
  async containers(service: string): Promise<Container[]> {
    const ids = (await this.compose('ps', '--quiet', '--all', service)).split('\n').filter(Boolean);
    if (ids.length === 0) return [];
    return JSON.parse(await this.#run('docker', 'inspect', ...ids)) as Container[];
  }

  async firstOf(service: string): Promise<Container> {
    const [first] = await this.containers(service);
    if (!first) throw new ReadableError(`There is no container of ${service}`);
    return first;
  }

  /** The pid, on this machine, of the API or worker process in a container. */
  async processOf({ Id }: Container): Promise<number> {
    const lines = (await this.#run('docker', 'top', Id, '-eo', 'pid,args')).split('\n');
    const line = lines.find((text) => /^\s*\d+\s+node src\/(api|worker)/.test(text));
    if (!line) throw new ReadableError(`No API or worker process runs in container ${Id}`);
    return Number.parseInt(line, 10);
  }

  /** Resolves when this many containers of the service are healthy, and there are no others. */
  async untilHealthy(service: string, count: number): Promise<void> {
    const areHealthy = async () => {
      const seen = await this.containers(service);
      return seen.length === count && seen.every(isHealthy);
    };
    await until(`${count} healthy containers of ${service}`, areHealthy, TIMEOUT_MS);
  }

  /** Resolves when this container has been started again. */
  async untilRestarted(service: string, { Id, State }: Container): Promise<void> {
    const isBack = async () => {
      const now = (await this.containers(service)).find((container) => container.Id === Id);
      return now?.State.Running && now.State.StartedAt !== State.StartedAt;
    };
    await until(`a restart of ${service}`, isBack, TIMEOUT_MS);
  }

  /** The lines that a query prints, as superuser. */
  async query(sql: string): Promise<string[]> {
    const psql = ['psql', '-U', 'postgres', '-d', 'orders', '-h', '/var/run/postgresql'];
    const output = await this.compose('exec', '-T', 'postgres', ...psql, '-Atc', sql);
    return output.split('\n').filter(Boolean);
  }

  #run(...command: string[]): Promise<string> {
    return this.#engine.run(command, { cwd: this.project.folder });
  }
}

/** A container without a health check is healthy as long as it runs. */
function isHealthy({ State }: Container): boolean {
  return State.Running && (State.Health?.Status ?? 'healthy') === 'healthy';
}
