import { createServer } from 'node:http';
import { networkInterfaces } from 'node:os';
import test from 'ava';
import { listen } from '../http/server.ts';
import { urlOf } from './url.ts';

test('the URL of a server contains its address in the syntax of URLs', (t) => {
  t.is(urlOf('127.0.0.1', 8000), 'http://127.0.0.1:8000');
  t.is(urlOf('localhost', 8000), 'http://localhost:8000');
  t.is(urlOf('::1', 8000), 'http://[::1]:8000');
  t.is(urlOf('2001:db8::7', 80), 'http://[2001:db8::7]:80');
  t.is(urlOf('fe80::1%eth0', 80), 'http://[fe80::1%25eth0]:80');
});

test('a server that listens on all addresses is reached by the loopback address', (t) => {
  t.is(urlOf('0.0.0.0', 8000), 'http://127.0.0.1:8000');
  t.is(urlOf('::', 8000), 'http://[::1]:8000');
});

const interfaces = Object.values(networkInterfaces()).flat();
const hasIPv6 = interfaces.some((one) => one?.address === '::1');

for (const host of ['127.0.0.1', '0.0.0.0', ...(hasIPv6 ? ['::1', '::'] : [])]) {
  test(`a client reaches a server on ${host} at its URL`, async (t) => {
    const server = createServer((_req, res) => res.end('here'));
    const port = await listen(server, 0, host);
    t.teardown(() => server.close().closeAllConnections());

    t.is(await (await fetch(urlOf(host, port))).text(), 'here');
  });
}
