import type { Choice } from './choice.ts';
import type { Document, Schema } from './document.ts';
import { ODD_JSON, ODD_NAMES, ODD_TEXTS } from './odd-values.ts';

const DEPTH_MAX = 8;
const WORDS = ['Kettle', 'Teapot', 'Grüße', 'x', 'ada@example.com', '日本', '12.50', 'EUR'];

/** Makes the JSON text of a value that a schema describes. `oddity`: the probability of an odd value at each place. */
export function jsonFor(
  choice: Choice,
  document: Document,
  schema: Schema,
  oddity: number,
): string {
  return valueFor({ choice, document, oddity }, schema, 0);
}

type Making = { choice: Choice; document: Document; oddity: number };

function valueFor(making: Making, schema: Schema, depth: number): string {
  const { choice, document, oddity } = making;
  if (depth > DEPTH_MAX || choice.chance(oddity)) return choice.oneOf(ODD_JSON);
  if (schema.$ref) {
    const name = schema.$ref.split('/').at(-1) ?? '';
    return valueFor(making, document.components.schemas[name] ?? {}, depth + 1);
  }
  const variants = schema.anyOf ?? schema.oneOf;
  if (variants)
    return valueFor(making, { example: schema.example, ...choice.oneOf(variants) }, depth + 1);
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  if (schema.enum) return JSON.stringify(choice.oneOf(schema.enum));
  const types = [schema.type ?? choice.oneOf(['object', 'string', 'integer'])].flat();
  switch (choice.oneOf(types)) {
    case 'object':
      return objectFor(making, schema, depth);
    case 'array':
      return `[${valueFor(making, schema.items ?? {}, depth + 1)}]`;
    case 'integer':
    case 'number':
      return String(choice.integer(schema.minimum ?? -5, Math.min(schema.maximum ?? 1000, 1e9)));
    case 'boolean':
      return String(choice.chance(0.5));
    case 'null':
      return 'null';
    default:
      return JSON.stringify(textFor(choice, schema));
  }
}

function objectFor(
  making: Making,
  { properties = {}, required = [] }: Schema,
  depth: number,
): string {
  const { choice, oddity } = making;
  const names = Object.keys(properties).filter(
    (name) => !choice.chance(required.includes(name) ? oddity : 0.5),
  );
  const members = names.map((name) => [name, valueFor(making, properties[name] ?? {}, depth + 1)]);
  // One name twice, and one name that the schema does not have.
  if (choice.chance(oddity) && members[0])
    members.push([members[0][0] ?? '', choice.oneOf(ODD_JSON)]);
  if (choice.chance(oddity)) members.push([choice.oneOf(ODD_NAMES), choice.oneOf(ODD_JSON)]);
  return `{${choice
    .shuffled(members)
    .map(([name, value]) => `${JSON.stringify(name)}:${value}`)
    .join()}}`;
}

/** Makes a text for a schema by its examples, its format and its lengths. Some are one character too long or short. */
function textFor(
  choice: Choice,
  { format, example, examples, minLength = 0, maxLength }: Schema,
): string {
  const samples = [example, ...(examples ?? [])].filter((one) => typeof one === 'string');
  if (samples.length > 0 && choice.chance(0.6)) return choice.oneOf(samples);
  if (format === 'email') return `u${choice.integer(0, 1e9)}@example.test`;
  if (format === 'uuid')
    return `01890000-0000-7000-8000-${String(choice.integer(0, 1e12)).padStart(12, '0')}`;
  if (maxLength !== undefined && choice.chance(0.2)) {
    return 'x'.repeat(Math.max(maxLength + choice.integer(-1, 1), 0)); // around the limit
  }
  return `${choice.oneOf(WORDS)} ${choice.oneOf(WORDS)}`.padEnd(minLength, 'x');
}

/** Makes a text for a parameter. Some integers are one beyond their range. */
export function parameterFor(choice: Choice, schema: Schema, oddity: number): string {
  if (choice.chance(oddity)) return choice.oneOf(ODD_TEXTS);
  if (schema.enum) return String(choice.oneOf(schema.enum));
  if (schema.type === 'integer') {
    return String(choice.integer((schema.minimum ?? 0) - 1, (schema.maximum ?? 100) + 1));
  }
  return textFor(choice, schema);
}
