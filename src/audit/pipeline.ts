import type { Session } from './session.ts';
import type { Window } from './windows.ts';

/**
 * Does some work in each window, in a snapshot of its own: as many windows at a time as there are
 * sessions. Results are handed over in the order of the windows, and no more are kept than are under way.
 */
export async function throughWindows<R>(
  sessions: Session[],
  windows: AsyncGenerator<Window>,
  work: (session: Session, window: Window) => Promise<R>,
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
          const result = await session.snapshot(() => work(session, value));
          await before;
          take(result);
        } finally {
          done.resolve();
        }
      }
    }),
  );
}
