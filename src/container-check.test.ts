import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { text } from 'node:stream/consumers';
import test from 'ava';
import { asking, checkContainer } from './container-check.ts';
import { listen } from './http/server.ts';

/** Answers each path as given. A path without a given answer gets none. */
function answering(answers: Record<string, number | 'refused'>) {
  return (path: string) => {
    const answer = answers[path];
    if (answer === undefined) return Promise.resolve('silent' as const);
    return Promise.resolve(answer === 'refused' ? answer : new Response(null, { status: answer }));
  };
}

test('a process that says it is ready is ready', async (t) => {
  t.is(await checkContainer(answering({ '/readyz': 200 })), 'ready');
});

test('a process that says it is not ready, or refuses connections, does not hang', async (t) => {
  t.is(await checkContainer(answering({ '/readyz': 503 })), 'not ready');
  t.is(await checkContainer(answering({ '/readyz': 'refused', '/livez': 'refused' })), 'not ready');
});

test('a process whose readiness takes long but that is alive does not hang', async (t) => {
  t.is(await checkContainer(answering({ '/livez': 200 })), 'not ready');
});

test('a process that answers nothing hangs, after three tries', async (t) => {
  const asked: string[] = [];
  const found = await checkContainer((path) => {
    asked.push(path);
    return Promise.resolve('silent');
  });
  t.is(found, 'hangs');
  t.deepEqual(asked, ['/readyz', '/livez', '/livez', '/livez']);
});

test('a server that accepts a connection and never answers is silent, a closed port refuses', async (t) => {
  const server = createServer(() => {});
  const port = await listen(server, 0, '127.0.0.1');
  const ask = asking(`http://127.0.0.1:${port}`);
  t.is(await ask('/livez', 100), 'silent');
  server.close();
  server.closeAllConnections();
  await once(server, 'close');
  t.is(await ask('/livez', 30_000), 'refused');
});

test('the command reports a ready process with exit code 0, and another one with 1', async (t) => {
  const server = createServer((_req, res) => res.writeHead(status).end());
  t.teardown(() => server.close());
  const origin = `http://127.0.0.1:${await listen(server, 0, '127.0.0.1')}`;
  let status = 200;
  t.deepEqual(await runCheck(origin), { output: 'ready\n', code: 0 });
  status = 503;
  t.deepEqual(await runCheck(origin), { output: 'not ready\n', code: 1 });
});

async function runCheck(origin: string) {
  const check = spawn(process.execPath, ['src/container-check.ts', origin]);
  const [output, [code]] = await Promise.all([text(check.stdout), once(check, 'exit')]);
  return { output, code: code as unknown };
}
