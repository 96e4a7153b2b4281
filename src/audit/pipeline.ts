import type { CommonQueryMethods } from 'slonik';
import { inSnapshot, type AuditSession } from './session.ts';
import type { Window } from './windows.ts';

/**
 * Runs `work` for each window, in a snapshot of its own. As many windows run at a time as there are sessions. `take`
 * gets the results in the order of the windows. Each session keeps at most one result until its turn.
 */
export async function throughWindows<R>(
  sessions: AuditSession[],
  windows: AsyncGenerator<Window>,
  work: (tx: CommonQueryMethods, window: Window) => Promise<R>,
  take: (result: R) => void,
): Promise<void> {
  let turn = Promise.resolve();
  await Promise.all(
    sessions.map(async (session) => {
      // An async generator queues concurrent calls, so each window goes to one session.
      for (;;) {
        const next = windows.next();
        const before = turn;
        const done = Promise.withResolvers<void>();
        turn = done.promise;
        try {
          const { value, done: isEnd } = await next;
          if (isEnd) return;
          const result = await inSnapshot(session, (tx) => work(tx, value));
          await before;
          take(result);
        } finally {
          done.resolve();
        }
      }
    }),
  );
}
