/*
 * Raw byte streams: HTTP requests, most of them with something wrong in their bytes, and bytes that are no HTTP at all.
 */
import { connect } from 'node:net';
import type { Choice } from './choice.ts';
import type { FuzzRequest } from './requests.ts';

type Mutate = (choice: Choice, bytes: Buffer) => Buffer;

/** Writes a request as bytes. */
export function bytesOf({ method, path, headers, body = Buffer.alloc(0) }: FuzzRequest): Buffer {
  const lines = Object.entries({ host: 'x', ...headers, 'content-length': String(body.length) })
    .filter(([name]) => name !== 'transfer-encoding')
    .map(([name, value]) => `${name}: ${value}\r\n`);
  return Buffer.concat([
    Buffer.from(`${method} ${path} HTTP/1.1\r\n${lines.join('')}\r\n`, 'latin1'),
    body,
  ]);
}

/** Makes a stream out of one to three requests, and changes it in one way. */
export function makeStream(choice: Choice, requests: Buffer[]): Buffer {
  const bytes = Buffer.concat(requests.slice(0, choice.integer(1, 3)));
  return choice.oneOf(MUTATIONS)(choice, bytes);
}

const at = (choice: Choice, bytes: Buffer) => choice.integer(0, bytes.length);

/** Replaces the first match in the bytes. */
function replaced(bytes: Buffer, pattern: RegExp, text: string): Buffer {
  return Buffer.from(
    bytes.toString('latin1').replace(pattern, () => text),
    'latin1',
  );
}

function randomBytes(choice: Choice, length: number): Buffer {
  return Buffer.from(Array.from({ length }, () => choice.integer(0, 255)));
}

const LENGTHS = [
  '-1',
  '+5',
  '5, 5',
  '5\r\nContent-Length: 6',
  '0x10',
  '1e3',
  '99999999999999999999',
  '',
  '٣',
];
const ENCODINGS = [
  'chunked',
  'chunked, chunked',
  'identity',
  'xchunked',
  'chunked\r\nTransfer-Encoding: x',
  '\tchunked',
  'gzip, chunked',
];
const CHUNKS = [
  '5\r\nabcde\r\n0\r\n\r\n',
  'g\r\n',
  '-1\r\n',
  'ffffffffffffffff\r\n',
  '5;x=y\r\nabcde\r\n0\r\nX: y\r\n\r\n',
  '5\nabcde\n0\n\n',
  '3\r\nabcde\r\n0\r\n\r\n',
];
const LINES = [
  'GET / HTTP/9.9',
  'GET /',
  'GET  /  HTTP/1.1',
  'get / HTTP/1.1',
  'GET http://a/b HTTP/1.1',
  'CONNECT a:1 HTTP/1.1',
  'OPTIONS * HTTP/1.1',
  'PRI * HTTP/2.0',
  'GET /\0 HTTP/1.1',
  'GET /é HTTP/1.1',
  'BREW / HTTP/1.1',
  'GET / HTTP/1.0',
  'TRACE / HTTP/1.1',
  'PROPFIND /orders HTTP/1.1',
  'POST //orders HTTP/1.1',
  'GET /%zz HTTP/1.1',
  `GET /${'a'.repeat(20_000)} HTTP/1.1`,
];
const HEADERS = [
  'Host: a\r\nHost: b',
  'Host:',
  'Host: a b',
  ': x',
  'x',
  'X : y',
  'X: a\r\n b',
  'X: \0',
  'X: \u007f',
  `X: ${'y'.repeat(20_000)}`,
  Array.from({ length: 3000 }, (_, n) => `X${n}: y`).join('\r\n'),
  'Upgrade: websocket\r\nConnection: Upgrade',
  'Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA',
  'Expect: 100-continue',
  'Expect: x',
  'Connection: close, keep-alive',
];

const MUTATIONS: Mutate[] = [
  (_choice, bytes) => bytes,
  (choice, bytes) => bytes.subarray(0, at(choice, bytes)),
  (choice) => randomBytes(choice, choice.integer(1, 3000)),
  (choice, bytes) => {
    const copy = Buffer.from(bytes);
    for (let flips = choice.integer(1, 20); flips > 0; flips -= 1) {
      copy[choice.integer(0, copy.length - 1)] = choice.integer(0, 255);
    }
    return copy;
  },
  (choice, bytes) => {
    const [from, to] = [at(choice, bytes), at(choice, bytes)].sort((a, b) => a - b);
    return Buffer.concat([bytes.subarray(0, from), bytes.subarray(to)]);
  },
  (choice, bytes) => {
    const from = at(choice, bytes);
    const more = choice.oneOf([
      randomBytes(choice, 40),
      bytes.subarray(0, 100),
      Buffer.from('\r\n\r\n'),
      Buffer.from('\0\0'),
    ]);
    return Buffer.concat([bytes.subarray(0, from), more, bytes.subarray(from)]);
  },
  (choice, bytes) =>
    replaced(bytes, /content-length: \d+/, `Content-Length: ${choice.oneOf(LENGTHS)}`),
  (choice, bytes) =>
    replaced(bytes, /content-length: \d+/, `Content-Length: ${choice.integer(0, 200)}`),
  (choice, bytes) =>
    replaced(
      bytes,
      /content-length/,
      `Transfer-Encoding: ${choice.oneOf(ENCODINGS)}\r\nContent-Length`,
    ),
  (choice, bytes) =>
    replaced(
      bytes,
      /content-length: \d+\r\n\r\n[^]*/,
      `Transfer-Encoding: ${choice.oneOf(ENCODINGS)}\r\n\r\n${choice.oneOf(CHUNKS)}`,
    ),
  (choice, bytes) => replaced(bytes, /^[^\r]*/, choice.oneOf(LINES)),
  (choice, bytes) => replaced(bytes, /\r\n/, `\r\n${choice.oneOf(HEADERS)}\r\n`),
  (_choice, bytes) => Buffer.from(bytes.toString('latin1').replaceAll('\r\n', '\n'), 'latin1'),
  (_choice, bytes) => Buffer.concat([Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'), bytes]),
  (_choice, bytes) => Buffer.concat([Buffer.from([0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3]), bytes]),
  (_choice, bytes) => Buffer.concat([Buffer.from('PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n'), bytes]),
];

/** The replies on a connection. `isOpen`: the server did not close the connection in time. */
type StreamReply = {
  statuses: number[];
  orderIds: string[];
  text: string;
  ms: number;
  isOpen: boolean;
};

/** Longer than the service keeps a connection on which nothing happens. */
const OPEN_MS = 150_000;

/** Sends bytes on a new connection, ends the sending side, and reads until the server closes. Never rejects. */
export function sendStream(origin: string, bytes: Buffer): Promise<StreamReply> {
  const { hostname, port } = new URL(origin);
  const startedAt = performance.now();
  return new Promise((resolve) => {
    const chunks: Buffer[] = [];
    let isOpen = false;
    const socket = connect({ host: hostname, port: Number(port), allowHalfOpen: true });
    socket.setTimeout(OPEN_MS, () => {
      isOpen = true;
      socket.destroy();
    });
    socket.on('data', (chunk: Buffer) => chunks.push(chunk));
    socket.on('error', () => undefined); // the server may reset it at any moment
    socket.on('end', () => socket.destroy());
    socket.on('close', () => {
      const text = Buffer.concat(chunks).toString('latin1');
      resolve({
        statuses: [...text.matchAll(/^HTTP\/1\.1 (\d{3})/gm)].map(([, status]) => Number(status)),
        orderIds: [...text.matchAll(/^Location: \/orders\/([\w-]{36})\r$/gim)].map(
          ([, id = '']) => id,
        ),
        text,
        ms: performance.now() - startedAt,
        isOpen,
      });
    });
    socket.end(bytes);
  });
}
