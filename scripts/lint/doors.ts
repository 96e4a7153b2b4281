import { isProduct, isSql, isTypeScript, matchingLines, type Rule } from './rule.ts';

const ENQUEUE = /\bboss\.(send\w*|insert|publish)\(/;
const WRITE = String.raw`\b(INSERT\s+INTO|UPDATE|DELETE\s+FROM|MERGE\s+INTO|TRUNCATE(\s+TABLE)?)\s+(ONLY\s+)?`;
const JOB_WRITE = new RegExp(String.raw`${WRITE}pgboss\.`, 'i');
const ORDER_WRITE = new RegExp(
  String.raw`${WRITE}(orders|order_events|order_items|idempotency_keys)\b`,
  'i',
);

/** Each kind of write has one place, and settings are read in one place. */
export const doors: Rule[] = [
  {
    name: 'enqueue',
    reads: isProduct,
    find: ({ code }) =>
      matchingLines(
        code,
        ENQUEUE,
        'let a SQL function store the order and its job in one statement',
      ),
  },
  {
    name: 'job-write',
    reads: (path) => isProduct(path) && !isSql(path),
    find: ({ strings }) =>
      matchingLines(strings, JOB_WRITE, 'only functions in sql/ write to the queue'),
  },
  {
    name: 'order-write',
    reads: (path) => isProduct(path) && !isSql(path),
    find: ({ strings }) =>
      matchingLines(
        strings,
        ORDER_WRITE,
        'only functions in sql/ write orders, their events and their keys',
      ),
  },
  {
    name: 'process-env',
    reads: isTypeScript,
    find: ({ code }) =>
      matchingLines(code, /\bprocess\.env\b/, 'read settings through src/config.ts'),
  },
  {
    name: 'node-env',
    reads: isTypeScript,
    find: ({ code }) => matchingLines(code, /\bNODE_ENV\b/, 'add a setting for this instead'),
  },
];
