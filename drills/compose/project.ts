import { randomBytes } from 'node:crypto';
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { NO_LIMITS } from '../../test/support/template.ts';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const FILES = ['package.json', 'package-lock.json', 'scripts', 'sql', 'jobs', 'src', 'deploy'];
const DOCKER_FILES = ['Dockerfile', '.dockerignore', 'docker-compose.yml'];

// The build loads packages from the npm registry, over the network of the machine.
const OVERRIDE = `
services:
  migrate:
    build: { network: host }
`;

const BROKEN_API = `throw new Error('broken by the drill');\n`;

/** A copy of the project, as an operator has it. */
export type Project = {
  folder: string;
  /** The settings in its .env. */
  settings: Record<string, string>;
  /** Adds a migration after those of the project, or replaces the one that was added. */
  setMigration: (sql: string) => void;
  removeMigration: () => void;
  /** `true`: the API of the next image ends at its start. `false`: it works again. */
  setBroken: (isBroken: boolean) => void;
};

export const AUDITOR_PASSWORD = newSecret();

/** Copies the project, with new secrets in its .env. Its proxy listens on this port of the loopback interface. */
export function copyProject(dir: string, port: number): Project {
  const folder = join(dir, 'project');
  mkdirSync(folder);
  for (const file of [...FILES, ...DOCKER_FILES]) {
    cpSync(join(ROOT, file), join(folder, file), { recursive: true });
  }
  const settings = {
    COMPOSE_PROJECT_NAME: 'orders',
    PORT: `127.0.0.1:${port}`,
    JWT_SECRET: newSecret(),
    POSTGRES_PASSWORD: newSecret(),
    API_DATABASE_PASSWORD: newSecret(),
    WORKER_DATABASE_PASSWORD: newSecret(),
    AUDIT_DATABASE_URL: `postgres://drill_auditor:${AUDITOR_PASSWORD}@postgres:5432/orders`,
    LOG_LEVEL: 'warn',
    ...NO_LIMITS,
  };
  const lines = Object.entries(settings).map(([name, value]) => `${name}=${value}\n`);
  writeFileSync(join(folder, '.env'), lines.join(''));
  writeFileSync(join(folder, 'docker-compose.override.yml'), OVERRIDE);
  const migration = join(folder, 'sql/migrations/0999_drill.sql');
  const api = join(folder, 'src/api.ts');
  const source = readFileSync(api, 'utf8');
  return {
    folder,
    settings,
    setMigration: (sql) => writeFileSync(migration, sql),
    removeMigration: () => rmSync(migration),
    setBroken: (isBroken) => writeFileSync(api, isBroken ? BROKEN_API : source),
  };
}

function newSecret(): string {
  return randomBytes(24).toString('hex');
}
