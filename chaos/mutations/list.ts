/* All mutations. When the code that a mutation edits changes, the mutation must change with it. */
import { cancellingMutations } from './cancelling.ts';
import { jobMutations } from './jobs.ts';
import type { Mutation } from './mutation.ts';
import { placingMutations } from './placing.ts';
import { processingMutations } from './processing.ts';
import { recordMutations } from './records.ts';
import { rightMutations } from './rights.ts';
import { sessionMutations } from './sessions.ts';

export const mutations: Mutation[] = [
  ...placingMutations,
  ...cancellingMutations,
  ...processingMutations,
  ...recordMutations,
  ...rightMutations,
  ...sessionMutations,
  ...jobMutations,
];
