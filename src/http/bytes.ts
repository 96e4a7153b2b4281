const NOTHING = Buffer.alloc(0);

/**
 * Bytes that arrive in pieces, in one block of memory. A list of the pieces would not do: a client can send each byte
 * as a piece of its own, and a Buffer takes more than a hundred times as much memory as its byte.
 */
export class Bytes {
  #memory = NOTHING;
  #length = 0;

  get length(): number {
    return this.#length;
  }

  /** Everything that has arrived. */
  get all(): Buffer {
    return this.#memory.subarray(0, this.#length);
  }

  /** Adds a copy of a piece. The block doubles when it is full, so the work is proportional to the bytes. */
  add(piece: Buffer): void {
    const length = this.#length + piece.length;
    if (length > this.#memory.length) {
      const larger = Buffer.allocUnsafe(Math.max(length, 2 * this.#memory.length));
      this.#memory.copy(larger, 0, 0, this.#length);
      this.#memory = larger;
    }
    piece.copy(this.#memory, this.#length);
    this.#length = length;
  }
}
