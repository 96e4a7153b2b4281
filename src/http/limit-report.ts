import type { ParameterizedContext } from 'koa';
import { Problem } from './problem.ts';
import type { AppState } from './state.ts';

/** The window of every limit that is a setting. */
export const WINDOW_SECONDS = 60;

/** What a limit has counted. `seconds`: until the count starts again or, when refused, until a repeat may succeed. */
export type Count = { used: number; seconds: number; refused: boolean };

/** Tells the client about a limit, in RateLimit headers. Throws 429 with Retry-After when the request is refused. */
export function reportCount(
  ctx: ParameterizedContext<AppState>,
  name: string,
  points: number,
  { used, seconds, refused }: Count,
  detail = `At most ${points} of these requests are allowed per minute.`,
): void {
  if (points === 0 && !refused) return; // the setting switches the limit off
  const left = refused ? 0 : Math.max(points - used, 0);
  ctx.state.headers.push(
    'RateLimit-Policy',
    `"${name}";q=${points};w=${WINDOW_SECONDS}`,
    'RateLimit',
    `"${name}";r=${left};t=${Math.max(seconds, 1)}`,
  );
  if (!refused) return;
  ctx.set('Retry-After', String(Math.max(seconds, 1)));
  throw new Problem('quota-exceeded', detail, { 'violated-policies': [name] });
}
