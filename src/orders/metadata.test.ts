import { sql } from 'slonik';
import { z } from 'zod';
import { test } from '../../test/support/context.ts';
import { storedBytes } from './metadata.ts';

test('the size of metadata is counted as Postgres writes it', async (t) => {
  const values = [
    {},
    { a: 1 },
    { a: [], b: [1, 2, [3]], c: { d: null, e: true, f: 'text' } },
    { quotes: '"\\/\b\f\n\r\t\u0001\u001f\u007f', script: 'é茶🫖\u2028' },
    { 'a "name"\n': 1, '': { '': '' } },
    { n: [0, -0, 1.5, -1.5, 1e21, -1.25e22, 1e300, 1.7976931348623157e308] },
    { n: [1e-6, 1e-7, -1.5e-7, 5e-324, 123456.789, 0.1] },
  ];

  for (const value of values) {
    const bytes = await t.context.deps.pool.oneFirst(sql.type(z.object({ bytes: z.int() }))`
      SELECT octet_length(${JSON.stringify(value)}::jsonb::text) AS bytes
    `);
    t.is(storedBytes(value), bytes, JSON.stringify(value));
  }
});
