/*
 * An access token is valid only while its session lives. A process asks the database whether a session lives, and uses
 * the answer for 5 seconds. Requests that ask at the same time share one statement.
 */
import { LRUCache } from 'lru-cache';
import { sql } from 'slonik';
import { z } from 'zod';
import { Batcher, BatcherFull } from '../db/batcher.ts';
import type { Deps } from '../deps.ts';
import { Problem } from '../http/problem.ts';

/** How long an answer is used, counted from the question. An ended session is refused after this time at the latest. */
const USED_MS = 5_000;

const ANSWERS_MAX = 10_000; // about 2 MB; auth.ts keeps as many verified tokens
const WAITING_MAX = 5_000;

/** The session and the user that an access token names. */
export type SessionOfToken = { session_id: string; user_id: string };

type Answer = { user_id: string; is_live: boolean; asked_at: number };

export type LiveSessions = ReturnType<typeof createLiveSessions>;

/** Creates the cache of an API process that knows which sessions live. */
export function createLiveSessions({ pool }: Pick<Deps, 'pool'>) {
  const answers = new LRUCache<string, Answer>({ max: ANSWERS_MAX });
  const batcher = new Batcher<SessionOfToken, Answer>({
    inFlightMax: 2,
    batchSizeMax: 1000,
    waitingMax: WAITING_MAX,
    async commit(sessions) {
      const asked_at = performance.now();
      const live = new Set(await askDatabase(pool, sessions));
      return sessions.map(({ session_id, user_id }) => {
        return { user_id, is_live: live.has(session_id), asked_at };
      });
    },
    isItemError: () => false,
  });

  async function ask(session: SessionOfToken): Promise<boolean> {
    try {
      const answer = await batcher.add(session);
      answers.set(session.session_id, answer);
      return answer.is_live;
    } catch (error) {
      if (error instanceof BatcherFull) throw new Problem('overloaded');
      throw error;
    }
  }

  return {
    /**
     * Whether a session lives. Asks the database, unless there is a recent answer. Rejects when the database does not
     * answer, so that no token is accepted without an answer.
     */
    isLive(session: SessionOfToken): boolean | Promise<boolean> {
      const answer = answers.get(session.session_id);
      const isRecent = answer && performance.now() - answer.asked_at < USED_MS;
      return isRecent ? answer.is_live : ask(session);
    },

    /** Forgets the answers about a user. Called after this process has ended sessions of the user. */
    forgetUser(userId: string): void {
      for (const [session_id, { user_id }] of answers.entries()) {
        if (user_id === userId) answers.delete(session_id);
      }
    },
  };
}

async function askDatabase(pool: Deps['pool'], sessions: SessionOfToken[]) {
  const ids = sessions.map(({ session_id }) => session_id);
  const userIds = sessions.map(({ user_id }) => user_id);
  return pool.anyFirst(sql.prepared('live-sessions', z.object({ id: z.guid() }))`
    SELECT id FROM live_sessions(${sql.array(ids, 'uuid')}, ${sql.array(userIds, 'uuid')}) AS l(id)
  `);
}
