import type { Client } from 'pg';
import type { QueryResultRow } from 'pg';
import type { Config } from '../config.ts';
import { createClient } from './connection/client.ts';
import { asOutage } from './errors.ts';

const LIMITS = { statementTimeoutMs: 10_000, idleInTransactionTimeoutMs: 10_000 };

/**
 * A connection outside the pools, so that a query never waits for other statements of the process. The first query
 * opens the connection; so does the first query after an error. Run one query at a time.
 */
export class LoneConnection {
  readonly #config: Pick<Config, 'DATABASE_URL'>;
  readonly #name: string;
  #client: Client | null = null;
  #opened = 0;

  constructor(config: Pick<Config, 'DATABASE_URL'>, name: string) {
    this.#config = config;
    this.#name = name;
  }

  /** Runs a statement. Rejects when it takes longer than `timeoutMs`; then the connection is dropped. */
  async query<Row extends QueryResultRow>(
    text: string,
    values: unknown[] = [],
    timeoutMs?: number,
  ): Promise<Row[]> {
    let client: Client | null = null;
    try {
      client = this.#client ??= await this.#connect();
      const query = { text, values, ...(timeoutMs !== undefined && { query_timeout: timeoutMs }) };
      return (await client.query<Row>(query)).rows;
    } catch (error) {
      if (client === this.#client) this.drop();
      throw asOutage(error);
    }
  }

  /** How often the connection was opened. */
  get opened(): number {
    return this.#opened;
  }

  /** Ends the connection. A query in flight rejects. */
  drop(): void {
    const client = this.#client;
    this.#client = null;
    void client?.end().catch(() => undefined);
  }

  async #connect(): Promise<Client> {
    const client = createClient(this.#config.DATABASE_URL, { name: this.#name, ...LIMITS });
    client.on('error', () => {
      if (client === this.#client) this.#client = null; // the query in flight rejects with the same error
    });
    await client.connect();
    this.#opened += 1;
    return client;
  }
}
