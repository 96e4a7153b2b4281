import { createHash } from 'node:crypto';
import type { Client } from 'pg';
import type { Statement } from './statements.ts';

const TRIGGER =
  /^CREATE\s+(?:OR\s+REPLACE\s+)?(?<constraint>CONSTRAINT\s+)?TRIGGER\s+(?<name>\w+)\s[\s\S]*?\sON\s+(?<table>[\w.]+)/i;
const COMMENT = /^COMMENT\s+ON\s+TRIGGER\s+(?<name>\w+)\s+ON\s+(?<table>[\w.]+)/i;

/** A trigger as the files want it: the statement that makes it, and its comment if it has one. */
type Wanted = {
  key: string;
  name: string;
  table: string;
  constraint: boolean;
  statements: string[];
};
/** A trigger as it is; `definition` is what Postgres makes of it. */
type Live = { key: string; enabled: boolean; constraint: boolean; definition: string };

/** Whether a statement makes a trigger, or comments on one. */
export function isTrigger({ code }: Statement): boolean {
  return TRIGGER.test(code) || COMMENT.test(code);
}

/**
 * Makes the triggers that are missing, disabled, or other than their statement says, and drops those of
 * ours that no statement makes. Leaves the others alone, because every statement about a trigger locks
 * its table until the transaction ends.
 */
export async function updateTriggers(client: Client, statements: Statement[]): Promise<void> {
  const wanted = wantedTriggers(statements);
  const recorded = await recordedTriggers(client);
  const live = await liveTriggers(client);
  for (const trigger of wanted) {
    const present = live.get(trigger.key);
    if (present === undefined || recorded.get(trigger.key) !== checksum(trigger, present)) {
      await makeTrigger(client, trigger, present);
    } else if (!present.enabled) {
      await client.query(`ALTER TABLE ${trigger.table} ENABLE TRIGGER ${trigger.name}`);
    }
  }
  const stale = [...recorded.keys()].filter(
    (key) => !wanted.some((trigger) => trigger.key === key),
  );
  for (const key of stale) await dropTrigger(client, key, live.has(key));
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
  const { key, name, table, constraint, statements } = trigger;
  // A constraint trigger cannot be replaced, nor can a trigger become one.
  if (present && (present.constraint || constraint)) {
    await client.query(`DROP TRIGGER ${name} ON ${table}`);
  }
  for (const statement of statements) await client.query(statement);
  const made = (await liveTriggers(client)).get(key);
  if (!made) throw new Error(`trigger ${key} is not there after it was made`);
  if (!made.enabled) await client.query(`ALTER TABLE ${table} ENABLE TRIGGER ${name}`);
  await client.query(
    `INSERT INTO public.definitions (name, sha256) VALUES ($1, $2)
     ON CONFLICT (name) DO UPDATE SET sha256 = EXCLUDED.sha256`,
    [key, checksum(trigger, made)],
  );
}

async function dropTrigger(client: Client, key: string, present: boolean): Promise<void> {
  const [name, ...table] = key.split('.').toReversed();
  if (present) await client.query(`DROP TRIGGER ${name} ON ${table.toReversed().join('.')}`);
  await client.query('DELETE FROM public.definitions WHERE name = $1', [key]);
}

/** Over what made the trigger and what it is, so that one changed by hand is noticed too. */
function checksum({ statements }: Wanted, { definition }: Live): string {
  return createHash('sha256')
    .update([...statements, definition].join('\n'))
    .digest('hex');
}

async function recordedTriggers(client: Client): Promise<Map<string, string>> {
  const { rows } = await client.query<{ name: string; sha256: string }>(
    'SELECT name, sha256 FROM public.definitions',
  );
  return new Map(rows.map(({ name, sha256 }) => [name, sha256]));
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
