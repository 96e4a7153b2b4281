/*
 * The probe of a process checks whether the database answers, whether a write commits, and whether the database still
 * has what it has acknowledged. The probe has two connections of its own, a reader and a writer: the writer may hang
 * while the reader still gets answers. All callers share one question, at most once a second.
 */
import type { Logger } from 'pino';
import type { Config } from '../config.ts';
import { LoneConnection } from '../db/lone-connection.ts';
import { newestMigration } from '../db/migrate/migrations.ts';
import { sqlStateOf } from '../db/errors.ts';
import type { Outage } from '../outage.ts';
import { waitUpTo } from '../share.ts';
import { Marks } from './marks.ts';

/** How often a running process asks by itself. While the state of the database is not `ok`, it asks every second. */
const INTERVAL_MS = 5_000;

/** All calls within this time share one question. */
const SHARED_MS = 1_000;

/** How long `check` waits for a new answer. After that, it uses the previous answer. */
const WAIT_MS = 700;

/** A database that leaves a question without an answer for this long counts as away. */
const SILENT_MS = 2_000;

/** A write that has not committed after this time counts as hanging. */
const COMMIT_MS = 5_000;

const LOSS =
  'the database has lost transactions that it had acknowledged: compare it with the server that it replaced';

const UNDEFINED_TABLE = '42P01';

/** What the reader has found out. */
type Answer = {
  migrated: boolean;
  standby: boolean;
  read_only: boolean;
  server: string;
  timeline: string | null;
  next_xact_id: string;
};

const READ = `
  SELECT
    EXISTS (SELECT FROM public.migrations WHERE name = $1) AS migrated,
    pg_is_in_recovery() AS standby,
    current_setting('transaction_read_only') = 'on' AS read_only,
    (SELECT system_identifier::text FROM pg_control_system()) AS server,
    CASE WHEN NOT pg_is_in_recovery() THEN left(pg_walfile_name(pg_current_wal_lsn()), 8) END AS timeline,
    pg_snapshot_xmax(pg_current_snapshot())::text AS next_xact_id`;

type Facts = Omit<Answer, 'migrated' | 'standby' | 'read_only'>;

/** The state of the database. `commits-hang`: for example, because a synchronous standby is missing. */
type DatabaseState = {
  database: 'ok' | 'away' | 'standby' | 'read-only' | 'commits-hang' | 'writes-fail';
  schema: string;
  history: 'ok' | 'lost';
};

/** Asks the database on behalf of a whole process. */
export class Probe {
  readonly #deps: { log: Logger; outage: Outage };
  readonly #reader: LoneConnection;
  readonly #writer: LoneConnection;
  readonly #marks: Marks;
  #answer: (Answer & { schema: string }) | null = null;
  #reading: Promise<void> | null = null;
  #readAt = Number.NEGATIVE_INFINITY;
  #seen: Facts | null = null; // what the reader had found at the newest mark
  #marking = false;
  #markAt = Number.NEGATIVE_INFINITY;
  #markFailures = 0;
  #hasLost = false;
  #reported: DatabaseState['database'] = 'ok';
  #verified = 0; // the connection of the reader for which `verify` was called
  #verify: (() => Promise<void>) | undefined;
  #timer: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(
    config: Pick<Config, 'DATABASE_URL'>,
    name: string,
    deps: { log: Logger; outage: Outage },
  ) {
    this.#deps = deps;
    this.#reader = new LoneConnection(config, `${name}-probe`);
    this.#writer = new LoneConnection(config, `${name}-probe-write`);
    this.#marks = new Marks(this.#writer);
  }

  /** Asks regularly from now on, even if nothing calls `check`. */
  start(): void {
    const ask = async () => {
      const { database } = await this.check();
      if (!this.#closed)
        this.#timer = setTimeout(() => void ask(), database === 'ok' ? INTERVAL_MS : SHARED_MS);
    };
    void ask();
  }

  /** Returns the state of the database. Asks first, unless it has asked in the last second, and waits up to 700 ms. */
  async check(): Promise<DatabaseState> {
    await waitUpTo(WAIT_MS, this.#ask());
    const state = this.state();
    this.#report(state.database);
    return state;
  }

  /** Each time that the reader has a new connection, calls `verify` after the next successful write. */
  onReturn(verify: () => Promise<void>): void {
    this.#verify = verify;
  }

  /** Records and logs that the database has lost what it had acknowledged. `lost` says what. */
  reportLoss(lost: object, now: Partial<Facts> = {}): void {
    this.#hasLost = true;
    const seen = factsOf(this.#seen ?? {});
    this.#deps.log.error({ ...lost, seen, now: factsOf(now) }, LOSS);
  }

  /** Asks for the first time, and waits for the answer. */
  async open(): Promise<void> {
    await this.#ask();
  }

  #ask(): Promise<void> | null {
    if (this.#reading === null && performance.now() - this.#readAt >= SHARED_MS && !this.#closed) {
      this.#readAt = performance.now();
      this.#reading = this.#read().finally(() => (this.#reading = null));
    }
    return this.#reading;
  }

  /** Returns the newest known state of the database, without asking. */
  state(): DatabaseState {
    const history = this.#hasLost ? 'lost' : 'ok';
    const isSilent = this.#reading !== null && performance.now() - this.#readAt > SILENT_MS;
    if (this.#answer === null || isSilent) return { database: 'away', schema: 'unknown', history };
    return { database: this.#writability(this.#answer), schema: this.#answer.schema, history };
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#reader.drop();
    this.#writer.drop();
  }

  #writability({ standby, read_only }: Answer): DatabaseState['database'] {
    if (standby) return 'standby';
    if (read_only) return 'read-only';
    if (this.#marking && performance.now() - this.#markAt > COMMIT_MS) return 'commits-hang';
    return this.#markFailures > 1 ? 'writes-fail' : 'ok'; // one failure may be a broken connection
  }

  async #read(): Promise<void> {
    const startedAt = performance.now();
    try {
      this.#answer = await readAnswer(this.#reader);
      // On a standby, the outage goes on: failed writes count as an outage too.
      if (!this.#answer.standby && !this.#answer.read_only) this.#deps.outage.succeeded(startedAt);
    } catch (error) {
      if (this.#closed) return;
      this.#answer = null;
      this.#deps.outage.failed(error);
      this.#writer.drop(); // its connection is probably dead as well
      this.#markAt = Number.NEGATIVE_INFINITY;
      return;
    }
    const isDue =
      this.#markFailures > 0 || performance.now() - this.#markAt >= INTERVAL_MS - SHARED_MS;
    const { standby, read_only, schema } = this.#answer;
    if (!this.#marking && isDue && !standby && !read_only && schema === 'ok')
      void this.#mark(this.#answer);
  }

  async #mark(facts: Facts): Promise<void> {
    this.#marking = true;
    this.#markAt = performance.now();
    try {
      const { lost } = await this.#marks.leave();
      this.#markFailures = 0;
      if (lost) this.reportLoss(lost, facts);
      this.#seen = facts;
      const { opened } = this.#reader; // a new connection may lead to another server
      if (opened !== this.#verified) await this.#verify?.();
      this.#verified = opened;
    } catch (err) {
      this.#markFailures += 1;
      if (!this.#closed) this.#deps.log.warn({ err }, 'mark not written');
    } finally {
      this.#marking = false;
    }
  }

  #report(database: DatabaseState['database']): void {
    if (database === this.#reported || database === 'away') return; // the outage logs that it is away
    this.#reported = database;
    if (database === 'ok') this.#deps.log.info('the database can be written again');
    else this.#deps.log.error({ database }, 'the database cannot be written');
  }
}

/** Returns only the members by which one history differs from another. */
function factsOf({ server, timeline, next_xact_id }: Partial<Facts>): Partial<Facts> {
  return { server, timeline, next_xact_id } as Partial<Facts>;
}

async function readAnswer(reader: LoneConnection): Promise<Answer & { schema: string }> {
  const newest = await newestMigration();
  try {
    const [answer] = await reader.query<Answer>(READ, [newest], SILENT_MS);
    if (!answer) throw new Error('the database returned no row');
    return { ...answer, schema: answer.migrated ? 'ok' : `missing ${newest}` };
  } catch (error) {
    if (sqlStateOf(error) !== UNDEFINED_TABLE) throw error;
    const empty = { migrated: false, standby: false, read_only: false };
    return { ...empty, server: '', timeline: null, next_xact_id: '', schema: 'missing all' };
  }
}
