import { test } from '../../test/support/context.ts';
import { exchange, openSocket } from '../../test/support/raw-http.ts';
import { until } from '../../test/support/until.ts';

// The bytes that load balancers send by default. Each must get 200, or its process counts as down.

const CHECKS: Record<string, string[]> = {
  'HAProxy, option httpchk': ['OPTIONS / HTTP/1.0'],
  'HAProxy, option httpchk GET': ['GET /readyz HTTP/1.0'],
  'HAProxy, http-check send ver HTTP/1.1': ['GET /readyz HTTP/1.1', 'host: orders.example'],
  'nginx, proxy_pass': ['GET /livez HTTP/1.0', 'Host: oms_api', 'Connection: close'],
  'nginx, upstream check module': ['GET / HTTP/1.0'],
  Envoy: [
    'GET /readyz HTTP/1.1',
    'host: api_cluster',
    'user-agent: Envoy/HC',
    'x-envoy-expected-rq-timeout-ms: 1000',
    'content-length: 0',
  ],
  'AWS Application Load Balancer': [
    'GET / HTTP/1.1',
    'Host: 10.0.3.17:8000',
    'Connection: close',
    'User-Agent: ELB-HealthChecker/2.0',
    'Accept-Encoding: gzip, compressed',
  ],
  'Google Cloud': [
    'GET / HTTP/1.1',
    'Host: 10.128.0.3',
    'User-Agent: GoogleHC/1.0',
    'Connection: Keep-alive',
  ],
  Kubernetes: [
    'GET /livez HTTP/1.1',
    'Host: 10.1.0.9:8000',
    'User-Agent: kube-probe/1.34',
    'Accept: */*',
    'Connection: close',
  ],
};

for (const [name, lines] of Object.entries(CHECKS)) {
  test(`the health check of ${name} gets 200`, async (t) => {
    const [reply] = await exchange(t.context.origin, `${lines.join('\r\n')}\r\n\r\n`);

    t.is(reply?.status, 200);
  });
}

test('a check that only connects, as network load balancers do, is no error', async (t) => {
  const socket = openSocket(t.context.origin);
  const connected = new Promise((resolve) => socket.once('connect', resolve));
  await connected;

  socket.end();

  t.true(await until('the server to close too', () => socket.closed));
  const [after] = await exchange(t.context.origin, 'GET /livez HTTP/1.0\r\n\r\n');
  t.is(after?.status, 200);
});
