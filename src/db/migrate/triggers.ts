import type { Client } from 'pg';
import { checksum, readRecords, writeRecords } from './records.ts';
import type { Statement } from './statements.ts';

const TRIGGER =
  /^CREATE\s+(?:OR\s+REPLACE\s+)?(?<constraint>CONSTRAINT\s+)?TRIGGER\s+(?<name>\w+)\s[\s\S]*?\sON\s+(?<table>[\w.]+)/i;
const COMMENT = /^COMMENT\s+ON\s+TRIGGER\s+(?<name>\w+)\s+ON\s+(?<table>[\w.]+)/i;

/** A trigger in the files: the statement that makes it, then its comment if it has one. */
type Wanted = {
  key: string;
  name: string;
  table: string;
  constraint: boolean;
  statements: string[];
};
/** A trigger in the database, with its definition in SQL as Postgres prints it. */
type Live = { key: string; enabled: boolean; constraint: boolean; definition: string };

/** Whether a statement makes a trigger or comments on one. */
export function isTrigger({ code }: Statement): boolean {
  return TRIGGER.test(code) || COMMENT.test(code);
}

/**
 * Makes the triggers that are missing or different from their statement, enables disabled ones, and drops recorded
 * triggers that no statement makes. Skips all others, because every statement about a trigger locks its table until
 * COMMIT.
 */
export async function updateTriggers(client: Client, statements: Statement[]): Promise<void> {
  const wanted = wantedTriggers(statements);
  const recorded = await readRecords(client, 'trigger');
  const live = await liveTriggers(client);
  for (const trigger of wanted) {
    const present = live.get(trigger.key);
    const made = present && checksum(trigger.statements, present.definition);
    if (made === undefined || recorded.get(trigger.key) !== made) {
      await makeTrigger(client, trigger, present);
    }
  }
  const wantedKeys = new Set(wanted.map(({ key }) => key));
  for (const key of recorded.keys()) {
    if (live.has(key) && !wantedKeys.has(key)) await dropTrigger(client, key);
  }
  await enableAndRecord(client, wanted);
}

function wantedTriggers(statements: Statement[]): Wanted[] {
  const wanted = new Map<string, Wanted>();
  for (const { file, text, code } of statements) {
    const made = TRIGGER.exec(code)?.groups;
    const { name = '', table = '' } = made ?? COMMENT.exec(code)?.groups ?? {};
    const key = `${table.replace(/^public\./, '')}.${name}`;
    const constraint = made?.constraint !== undefined;
    if (made) wanted.set(key, { key, name, table, constraint, statements: [text] });
    else if (wanted.has(key)) wanted.get(key)?.statements.push(text);
    else throw new Error(`sql/${file}: a comment on trigger ${key} comes before the trigger`);
  }
  return [...wanted.values()];
}

async function makeTrigger(client: Client, trigger: Wanted, present: Live | undefined) {
  const { name, table, constraint, statements } = trigger;
  // CREATE OR REPLACE can neither replace a constraint trigger nor turn another trigger into one.
  if (present && (present.constraint || constraint)) {
    await client.query(`DROP TRIGGER ${name} ON ${table}`);
  }
  for (const statement of statements) await client.query(statement);
}

async function dropTrigger(client: Client, key: string): Promise<void> {
  const dot = key.lastIndexOf('.');
  await client.query(`DROP TRIGGER ${key.slice(dot + 1)} ON ${key.slice(0, dot)}`);
}

async function enableAndRecord(client: Client, wanted: Wanted[]): Promise<void> {
  const live = await liveTriggers(client);
  const records = new Map<string, string>();
  for (const { key, name, table, statements } of wanted) {
    const trigger = live.get(key);
    if (!trigger) throw new Error(`trigger ${key} does not exist after its statement has run`);
    if (!trigger.enabled) await client.query(`ALTER TABLE ${table} ENABLE TRIGGER ${name}`);
    records.set(key, checksum(statements, trigger.definition));
  }
  await writeRecords(client, 'trigger', records);
}

async function liveTriggers(client: Client): Promise<Map<string, Live>> {
  const { rows } = await client.query<Live>(`
    SELECT format('%s.%s', tgrelid::regclass, tgname) AS key, tgenabled = 'O' AS enabled,
      tgconstraint <> 0 AS constraint, pg_get_triggerdef(oid) AS definition
    FROM pg_trigger
    WHERE NOT tgisinternal
  `);
  return new Map(rows.map((row) => [row.key, row]));
}
