import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { logIn, PASSWORD, startedSession } from '../test/support/accounts.ts';
import { send, test } from '../test/support/context.ts';
import {
  commandOf,
  freshSettings,
  isAlive,
  pidOf,
  startEverything,
  startProgram,
} from '../test/support/processes.ts';
import { until } from '../test/support/until.ts';

// Serial, like start.test.ts.

test.serial(
  'Ctrl-C leaves no process behind, and the next start has the same users, tokens and orders',
  async (t) => {
    const { settings, origin } = await freshSettings(t);
    const first = await startEverything(t, settings);
    const user = await startedSession({ origin });
    const order = { product_name: 'Kettle', amount: '34.90' };
    const headers = user.access;
    const placed = await send(origin, 'POST', '/orders', { headers, body: order });
    const processes = first.descendants();

    first.send('SIGINT');
    const { code } = await first.ended;
    const left = processes.filter(isAlive).map(commandOf);
    await startEverything(t, settings);
    const sameToken = await send(origin, 'GET', `/orders/${placed.body.id}`, { headers });
    const sameUser = await logIn({ origin }, user.email, PASSWORD);

    t.is(code, 0);
    t.true(processes.length >= 4, 'Postgres, Redis, API and worker at least');
    t.deepEqual(left, []);
    t.is(sameUser.status, 200);
    t.is(sameToken.status, 200);
    t.like(sameToken.body, { ...order, id: placed.body.id });
  },
);

test.serial('Ctrl-C during the start leaves no process behind', async (t) => {
  const { settings } = await freshSettings(t);
  const starting = startProgram(t, 'start', settings);
  await until('initdb to run', () => pidOf(starting, 'initdb'));

  const processes = starting.descendants();
  starting.send('SIGINT');
  const { code, stdout, stderr } = await starting.ended;

  t.deepEqual([code, stdout, stderr], [0, '', 'Starting Postgres …\n']);
  t.deepEqual(processes.filter(isAlive).map(commandOf), []);
});

test.serial(
  'after a first start that was killed during initdb, the next start works',
  async (t) => {
    const { settings, origin } = await freshSettings(t);
    const killed = startProgram(t, 'start', settings);
    const unfinished = join(settings.DATA_DIR, 'postgres.new');
    await until('initdb to write files', () => existsSync(join(unfinished, 'base')));
    const processes = killed.descendants();
    killed.send('SIGKILL');
    await until('all processes to end', () => !processes.some(isAlive));
    mkdirSync(unfinished, { recursive: true }); // initdb may have removed it
    writeFileSync(join(unfinished, 'half'), 'a file');

    await startEverything(t, settings);

    t.is((await send(origin, 'GET', '/readyz')).body.status, 'ok');
    t.false(existsSync(unfinished));
  },
);
