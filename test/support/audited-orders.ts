/*
 * Orders in each status, and the invariants that they break.
 */
import type { ExecutionContext } from 'ava';
import { violations } from './audit.ts';
import { drain, signUp, type Context } from './context.ts';

/** Places an order. Returns its id. */
export async function placed(t: ExecutionContext<Context>): Promise<string> {
  return (await signUp(t.context)).place();
}

/** Places an order that a worker completes. Returns its id. */
export async function completed(t: ExecutionContext<Context>): Promise<string> {
  const id = await placed(t);
  await drain(t.context.deps, 'process-order');
  return id;
}

/** Places an order that its user cancels. Returns its id. */
export async function cancelled(t: ExecutionContext<Context>): Promise<string> {
  const user = await signUp(t.context);
  const id = await user.place();
  await user.request('PUT', `/orders/${id}/cancellation`);
  return id;
}

/** The invariants that an order breaks, and the evidence for each. */
export async function broken(t: ExecutionContext<Context>, id: string) {
  const found = await violations(t.context, id);
  return {
    invariants: found.map(({ invariant }) => invariant),
    evidence: found.map(({ evidence }) => evidence),
  };
}
