import { randomUUID } from 'node:crypto';
import type { LoneConnection } from '../db/lone-connection.ts';

/** A process that has left no mark for this long takes a new id: the database deletes rows after a day. */
const FORGET_MS = 3_600_000;

/** A mark whose COMMIT has succeeded. */
type Mark = { mark: number; xact_id: string };

/** A mark was committed. `lost` is null when the mark before it was still there. Else `lost` says what was found. */
type Marked = { lost: { expected: Mark; found: number | null } | null };

/**
 * The marks of this process in the database. Each mark shows that a transaction can commit, with the durability that
 * the server is set to. The next mark shows whether the database still has the mark that it acknowledged before.
 */
export class Marks {
  readonly #connection: LoneConnection;
  #processId = randomUUID();
  #sent = 0;
  #newest: Mark | null = null;
  #newestAt = 0;

  constructor(connection: LoneConnection) {
    this.#connection = connection;
  }

  /** Leaves the next mark. Resolves when it is committed. */
  async leave(): Promise<Marked> {
    if (performance.now() - this.#newestAt > FORGET_MS) this.#startAnew();
    this.#sent += 1;
    const mark = this.#sent;
    const [row] = await this.#connection.query<{ found: string | null; xact_id: string }>(
      'SELECT last_mark AS found, xact_id FROM leave_mark($1, $2)',
      [this.#processId, mark],
    );
    const found = row?.found == null ? null : Number(row.found);
    const expected = this.#newest;
    this.#newest = { mark, xact_id: row?.xact_id ?? '' };
    this.#newestAt = performance.now();
    // A higher mark than expected was committed, but its answer was lost.
    const isThere = expected === null || (found !== null && found >= expected.mark);
    return { lost: isThere ? null : { expected, found } };
  }

  #startAnew(): void {
    this.#processId = randomUUID();
    this.#newest = null;
  }
}
