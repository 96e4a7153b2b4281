import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import createHttpError from 'http-errors';
import { refuseConnection, statusOfMalformed, type MalformedRequest } from './malformed.ts';
import type { BoundedResponse } from './response.ts';

/** How many requests of one connection may wait for the replies before them. With more, the connection is closed. */
const PIPELINED_MAX = 32;

const NOT_IMPLEMENTED = 501;

type Start = (req: IncomingMessage, res: BoundedResponse) => void;

/**
 * The requests of one connection. A client may send several without waiting (pipelining); they are handled one after
 * the other, so that at most one reply of a connection is in memory, however slowly the client reads. While requests
 * wait, no more is read from the connection, so that their bodies do not fill the memory either.
 */
export class Connection {
  readonly #socket: Duplex;
  readonly #start: Start;
  #current: BoundedResponse | undefined;
  #waiting: [IncomingMessage, BoundedResponse][] = [];
  /** Refuses what came after the complete requests: malformed bytes, for example. */
  #refuseRest: (() => void) | undefined;
  /** Whether the last reply was sent before the body of its request had arrived. */
  #hasUnreadBody = false;

  constructor(socket: Duplex, start: Start) {
    this.#socket = socket;
    this.#start = start;
  }

  /** Handles a request as soon as those before it have their replies. */
  add(req: IncomingMessage, res: BoundedResponse): void {
    if (!this.#current) {
      this.#begin(req, res);
    } else if (this.#waiting.length < PIPELINED_MAX) {
      this.#waiting.push([req, res]);
      this.#socket.pause();
    } else {
      this.#socket.destroy();
    }
  }

  /** Handles the next request, when the response before it is closed. */
  next(closed: BoundedResponse): void {
    this.#current = undefined;
    this.#hasUnreadBody = !closed.req.complete;
    if (this.#socket.destroyed) {
      this.#waiting = [];
      return;
    }
    const [next, ...rest] = this.#waiting;
    this.#waiting = rest;
    if (next && rest.length === 0) this.#socket.resume();
    if (next) this.#begin(...next);
    if (rest.length > 0 || next?.[0].complete) return; // complete requests come before the rest
    const refuseRest = this.#refuseRest;
    this.#refuseRest = undefined;
    refuseRest?.();
  }

  #begin(req: IncomingMessage, res: BoundedResponse): void {
    this.#current = res;
    res.beginWork();
    this.#start(req, res);
  }

  /**
   * Refuses bytes that are no valid request, or that come too slowly, after the replies to the requests before them. A
   * client that ends the connection in the middle of a request gets no reply.
   */
  refuse(error: MalformedRequest): void {
    const current = this.#current;
    const status = statusOfMalformed(error);
    if (!current) {
      if (this.#hasUnreadBody)
        this.#socket.destroy(); // the request of that body has a reply
      else refuseConnection(this.#socket, status);
    } else if (current.req.complete) {
      this.#refuseRest = () => this.refuse(error);
    } else if (current.headersSent) {
      current.stopReading();
    } else if (current.fail && error.code !== 'HPE_INVALID_EOF_STATE') {
      current.setHeader('Connection', 'close');
      current.fail(createHttpError(status, 'The request is incomplete or not valid HTTP.'));
    } else {
      this.#socket.destroy();
    }
  }

  /** Refuses to become a tunnel (CONNECT), after the replies to the requests before. */
  refuseTunnel(): void {
    const refuse = () => refuseConnection(this.#socket, NOT_IMPLEMENTED);
    if (this.#current) this.#refuseRest = refuse;
    else refuse();
  }
}
