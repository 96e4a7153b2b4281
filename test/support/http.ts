/*
 * Sends HTTP requests and reads the replies. It does not import ava, so commands can use it too.
 */

export type TestReply = {
  status: number;
  type: string | null;
  headers: Headers;
  // oxlint-disable-next-line typescript/no-explicit-any -- tests read members of any reply
  body: any;
};

/** Replaces the global `fetch`, for instance to wait when a rate limit is reached. */
export type Fetch = (url: string, init: RequestInit) => Promise<Response>;

type Options = {
  body?: unknown;
  headers?: Record<string, string> | undefined;
  fetch?: Fetch | undefined;
};

/** Sends a request. A string body is sent unchanged, any other body as JSON. */
export async function send(
  origin: string,
  method: string,
  path: string,
  { body, headers = {}, fetch = globalThis.fetch }: Options = {},
): Promise<TestReply> {
  const response = await fetch(`${origin}${path}`, {
    method,
    redirect: 'manual',
    headers: { ...(body !== undefined && { 'content-type': 'application/json' }), ...headers },
    ...(body !== undefined && { body: typeof body === 'string' ? body : JSON.stringify(body) }),
  });
  const text = await response.text();
  const type = response.headers.get('content-type');
  const parsed = type?.includes('json') ? JSON.parse(text) : text;
  return { status: response.status, type, headers: response.headers, body: parsed };
}
