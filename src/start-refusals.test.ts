import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { listen } from './http/server.ts';
import { test } from '../test/support/context.ts';
import {
  commandOf,
  commandsIn,
  freshSettings,
  isAlive,
  pidOf,
  startProgram,
} from '../test/support/processes.ts';
import { databaseUrl } from '../test/support/template.ts';
import { until } from '../test/support/until.ts';

// Serial, like start.test.ts.

test.serial(
  'a second start in the same folder fails with one line that names the first process',
  async (t) => {
    const { settings } = await freshSettings(t);
    const first = startProgram(t, 'start', settings);
    await until('the first start to lock the folder', () =>
      existsSync(join(settings.DATA_DIR, 'lock')),
    );

    const second = await startProgram(t, 'start', settings).ended;

    t.deepEqual([second.code, second.stdout], [1, '']);
    t.is(
      second.stderr,
      `${settings.DATA_DIR} is in use by process ${first.pid}; ` +
        'stop it, or set DATA_DIR to another folder\n',
    );
    t.true(first.isRunning());
  },
);

test.serial(
  'a port that is taken is reported in one line, and all processes are stopped',
  async (t) => {
    const { settings } = await freshSettings(t);
    const squatter = createServer();
    await listen(squatter, Number(settings.PORT), '127.0.0.1');
    t.teardown(() => squatter.close());
    const starting = startProgram(t, 'start', settings);
    await until('Postgres to run', () => pidOf(starting, 'bin/postgres'));

    const processes = starting.descendants();
    const { code, stdout, stderr } = await starting.ended;

    t.deepEqual([code, stdout], [1, '']);
    t.regex(
      stderr,
      /^Starting Postgres …\nThe port is taken; set PORT or METRICS_PORT to a free one \([^\n]+\)\n$/,
    );
    t.deepEqual(processes.filter(isAlive).map(commandOf), []);
  },
);

test.serial(
  'a folder with other files than a database is reported and does not change',
  async (t) => {
    const { settings } = await freshSettings(t);
    const folder = join(settings.DATA_DIR, 'postgres');
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, 'photo.jpg'), 'not a database');

    const { code, stdout, stderr } = await startProgram(t, 'start', settings).ended;

    t.deepEqual([code, stdout], [1, '']);
    t.is(
      stderr,
      `Starting Postgres …\n${folder} is not a Postgres data directory; ` +
        'move it away and start again\n',
    );
    t.true(existsSync(join(folder, 'photo.jpg')));
  },
);

test.serial(
  'a database that refuses the login is reported in one line, and all processes are stopped',
  async (t) => {
    const { settings } = await freshSettings(t);
    const url = new URL(databaseUrl(t.context.database));
    [url.username, url.password] = ['no_such_user', 'wrong'];
    const starting = startProgram(t, 'start', { ...settings, DATABASE_URL: url.href });

    const { code, stdout, stderr } = await starting.ended;

    const [last, ...before] = stderr.trim().split('\n').toReversed();
    t.deepEqual([code, stdout], [1, '']);
    t.regex(last ?? '', /^The database refused (user or password|the user) of DATABASE_URL \(/);
    t.deepEqual(before, ['Bringing the database up to date …']);
    t.deepEqual(commandsIn(settings.DATA_DIR), []);
  },
);
