import { STATUS_CODES } from 'node:http';
import type { Duplex } from 'node:stream';

export const PROBLEM_TYPE = 'application/problem+json';

/** How long a refused connection stays open after its reply. If it closed at once, the client might lose the reply. */
const LINGER_MS = 2000;

/** The error that Node emits for bytes that are no valid HTTP, and for a request that comes too slowly. */
export type MalformedRequest = Error & { code?: string; rawPacket?: Buffer; bytesParsed?: number };

/** Node refuses a request with a longer head. */
const HEAD_BYTES_MAX = 16_384;

/** The status for bytes that Node could not parse. Some errors of Node stand for several statuses. */
export function statusOfMalformed(error: MalformedRequest): number {
  switch (error.code) {
    case 'ERR_HTTP_REQUEST_TIMEOUT':
      return 408;
    case 'HPE_CHUNK_EXTENSIONS_OVERFLOW':
      return 413;
    case 'HPE_HEADER_OVERFLOW':
      return firstLine(error.rawPacket, 0).length < HEAD_BYTES_MAX / 2 ? 431 : 414;
    case 'HPE_INVALID_VERSION':
      return /^\S+ \S+ HTTP\/\d+\.\d+$/.test(requestLine(error)) ? 505 : 400;
    case 'HPE_INVALID_METHOD':
      return /^[A-Z-]+ \S+ HTTP\/1\.[01]$/.test(requestLine(error)) ? 501 : 400;
    default:
      return 400;
  }
}

/** The request line with the error. Other requests may come before this line in the same packet. */
function requestLine({ rawPacket, bytesParsed = 0 }: MalformedRequest): string {
  const start = rawPacket?.lastIndexOf('\n', Math.max(bytesParsed - 1, 0)) ?? 0;
  return firstLine(rawPacket, start + 1);
}

/** The text from a position up to CRLF, or to the end of the packet. */
function firstLine(packet: Buffer | undefined, start: number): string {
  const end = packet?.indexOf('\r\n', start) ?? -1;
  return packet?.toString('latin1', start, end === -1 ? undefined : end) ?? '';
}

/** Replies on a connection that has no request, and closes it. */
export function refuseConnection(socket: Duplex, status: number, headers = ''): void {
  if (!socket.writable) {
    socket.destroy();
    return;
  }
  const body = problemBody(status);
  socket.end(
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\nContent-Type: ${PROBLEM_TYPE}\r\n${headers}` +
      `Content-Length: ${body.length}\r\nConnection: close\r\n\r\n${body}`,
  );
  setTimeout(() => socket.destroy(), LINGER_MS).unref();
}

export function problemBody(status: number): string {
  return JSON.stringify({ type: 'about:blank', title: STATUS_CODES[status], status });
}
