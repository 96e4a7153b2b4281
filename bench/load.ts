import { Agent, request } from 'node:http';

/** What a load run measured. */
export type Throughput = { requests: number; seconds: number; perSecond: number };

/**
 * Sends the same POST over so many kept-alive connections, one after the other on each, for so long.
 * Rejects at the first answer that is not the expected one: a figure of failures is no figure.
 */
export async function postFor(
  url: string,
  options: {
    headers: Record<string, string>;
    body: string;
    connections: number;
    seconds: number;
    status: number;
  },
): Promise<Throughput> {
  const agent = new Agent({ keepAlive: true, maxSockets: options.connections });
  const started = performance.now();
  const end = started + options.seconds * 1000;
  let requests = 0;
  async function connection(): Promise<void> {
    while (performance.now() < end) {
      const status = await post(url, agent, options.headers, options.body);
      if (status !== options.status) throw new Error(`POST ${url} answered ${status}`);
      requests += 1;
    }
  }
  await Promise.all(Array.from({ length: options.connections }, connection));
  agent.destroy();
  const seconds = (performance.now() - started) / 1000;
  return { requests, seconds, perSecond: requests / seconds };
}

function post(
  url: string,
  agent: Agent,
  headers: Record<string, string>,
  body: string,
): Promise<number> {
  return new Promise((resolve, reject) => {
    const outgoing = request(url, { method: 'POST', agent, headers }, (response) => {
      response.resume();
      response.once('end', () => resolve(response.statusCode ?? 0));
    });
    outgoing.once('error', reject);
    outgoing.end(body);
  });
}
