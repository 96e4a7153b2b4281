/*
 * Sends bytes over a socket, as health checks and odd clients do, and reads the replies.
 */
import { connect, type Socket } from 'node:net';

/** A reply, parsed from the bytes of a connection. */
type RawReply = { status: number; headers: Headers; body: string };

/** Opens a connection to an API. The caller destroys it. */
export function openSocket(origin: string): Socket {
  const { port, hostname } = new URL(origin);
  const socket = connect(Number(port), hostname);
  socket.on('error', () => undefined); // the event `close` follows
  return socket;
}

/**
 * Sends bytes unchanged. Resolves with the replies when there are `count`, or when the server has closed the
 * connection. The lines of `bytes` must end in CRLF.
 */
export async function exchange(origin: string, bytes: string, count = 1): Promise<RawReply[]> {
  const socket = openSocket(origin);
  const { promise, resolve } = Promise.withResolvers<RawReply[]>();
  let text = '';
  socket.setEncoding('latin1');
  socket.on('data', (more: string) => {
    text += more;
    const replies = parseReplies(text);
    if (replies.length >= count) resolve(replies);
  });
  socket.on('close', () => resolve(parseReplies(text)));
  socket.write(bytes, 'latin1');
  const replies = await promise;
  socket.destroy();
  return replies;
}

/** The complete replies in a text. Cannot read replies to HEAD, which have a length and no body. */
export function parseReplies(text: string): RawReply[] {
  const replies: RawReply[] = [];
  for (let rest = text; ;) {
    const end = rest.indexOf('\r\n\r\n');
    if (end < 0) return replies;
    const [statusLine = '', ...lines] = rest.slice(0, end).split('\r\n');
    const headers = new Headers(lines.map((line) => line.split(/: ?(.*)/s, 2) as [string, string]));
    const length = Number(headers.get('content-length') ?? 0);
    const body = rest.slice(end + 4, end + 4 + length);
    if (body.length < length) return replies;
    replies.push({ status: Number(statusLine.split(' ')[1]), headers, body });
    rest = rest.slice(end + 4 + length);
  }
}
