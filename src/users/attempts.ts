import { sql } from 'slonik';
import { z } from 'zod';
import type { Deps } from '../deps.ts';

/** Deletes outdated counts of attempts, and networks without a login for 90 days. Returns the number of counts. */
export function pruneAttempts({ pool }: Pick<Deps, 'pool'>): Promise<number> {
  return pool.oneFirst(sql.type(z.object({ pruned: z.int() }))`
    SELECT prune_attempts() AS pruned
  `);
}
