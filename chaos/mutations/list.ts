/*
 * Ways to break the promises, and what has to notice. When the code has moved on, the mutation follows it.
 */
import { handedOff } from './handoff.ts';
import { kept } from './jobs.ts';
import type { Mutation } from './mutation.ts';
import { processed } from './processing.ts';
import { recorded } from './records.ts';
import { allowed } from './rights.ts';
import { admitted } from './sessions.ts';

export const mutations: Mutation[] = [
  ...handedOff,
  ...processed,
  ...recorded,
  ...allowed,
  ...admitted,
  ...kept,
];
