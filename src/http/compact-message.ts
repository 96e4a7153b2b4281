import { IncomingMessage } from 'node:http';
import { Bytes } from './bytes.ts';

/**
 * A request whose body waits in one block of memory until it is read. Node keeps each piece in a Buffer of its own, and
 * a client can send each byte as a piece. Readers use its events `data` and `end`.
 */
export class CompactMessage extends IncomingMessage {
  #waiting = new Bytes();

  /** Adds a piece of the body, or its end (null). Returns whether Node goes on reading from the connection. */
  override push(piece: Buffer | null): boolean {
    if (piece !== null && this.readableFlowing !== true) {
      this.#waiting.add(piece);
      return this.#waiting.length < this.readableHighWaterMark;
    }
    this.#release();
    return super.push(piece);
  }

  override resume(): this {
    super.resume();
    this.#release();
    return this;
  }

  #release(): void {
    if (this.#waiting.length === 0) return;
    const { all } = this.#waiting;
    this.#waiting = new Bytes();
    super.push(all);
  }
}
