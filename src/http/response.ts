import { ServerResponse, type IncomingMessage } from 'node:http';

/** A body up to this size is read to its end when nothing needs it, so that its connection can be used again. */
const DISCARDED_BYTES_MAX = 100_000;
/** How much of a longer body is read after the reply, and for how long, before the connection is closed. */
const LINGER_BYTES_MAX = 1_000_000;
const LINGER_MS = 2000;

/**
 * A response that records whether its request waits for the service or for the client. When a large body has not been
 * read, the response ends the connection, so no request makes the service read without end.
 */
export class BoundedResponse extends ServerResponse {
  /** When the request began to wait for the service or for the client, on the clock of `performance`. */
  since = performance.now();
  /** Whether the service waits for the client to send the body or to read the reply. */
  waitsForClient = false;
  /** Ends the request with an error. Set while the application handles it (deadline.ts). */
  fail: ((reason: Error) => void) | undefined;
  /** Whether the client waits for `100 Continue` before it sends its body. */
  expectsContinue = false;

  /** Records that the body is being read. Sends `100 Continue` if the client waits for it. */
  beginReceiving(): void {
    this.#waitFor(true);
    if (!this.expectsContinue) return;
    this.expectsContinue = false;
    this.writeContinue();
  }

  /** Records that the request waits for the service: at its start, and when its body has been read. */
  beginWork(): void {
    this.#waitFor(false);
  }

  #stopReading: (() => void) | undefined;

  #waitFor(client: boolean): void {
    this.since = performance.now();
    this.waitsForClient = client;
  }

  override writeHead(status: number, ...rest: unknown[]): this {
    if (this.#endsConnection()) this.setHeader('Connection', 'close');
    return super.writeHead(status, ...(rest as []));
  }

  override end(...args: unknown[]): this {
    this.#waitFor(true);
    if (!this.#endsConnection()) return super.end(...(args as []));
    // Closing at once would reset the connection while the client sends, and it might never see the reply.
    const [chunk] = args;
    if (typeof chunk === 'string' || Buffer.isBuffer(chunk)) this.write(chunk);
    else this.flushHeaders();
    this.#stopReading = discard(this.req, () => super.end());
    return this;
  }

  /** Stops reading the rest of a body, and ends the response. For a body whose rest cannot arrive any more. */
  stopReading(): void {
    this.#stopReading?.();
  }

  #endsConnection(): boolean {
    const { req } = this;
    if (!hasBody(req) || req.complete) return false;
    if (this.expectsContinue) return true; // the client may send the body, or not
    const length = Number(req.headers['content-length'] ?? Infinity);
    return length > DISCARDED_BYTES_MAX;
  }
}

/** Whether a request has a body, which may still turn out to be empty. */
export function hasBody({ headers }: IncomingMessage): boolean {
  const length = headers['content-length'];
  return (length !== undefined && length !== '0') || headers['transfer-encoding'] !== undefined;
}

/** Reads the rest of a body, up to a limit, and then calls `done`. Returns a function that ends the reading early. */
function discard(req: IncomingMessage, done: () => void): () => void {
  let bytes = 0;
  const finish = () => {
    clearTimeout(timer);
    req.off('data', count).off('end', finish).off('close', finish);
    done();
  };
  const timer = setTimeout(finish, LINGER_MS);
  const count = (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes > LINGER_BYTES_MAX) finish();
  };
  req.on('data', count).on('end', finish).on('close', finish);
  req.resume();
  return finish;
}
