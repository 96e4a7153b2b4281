import { STATUS_CODES } from 'node:http';
import type { Context, Middleware } from 'koa';
import { IntegrityConstraintViolationError } from 'slonik';
import { z } from 'zod';
import { isDatabaseAway, sqlStateOf } from '../db/errors.ts';
import { inBody, inParameter, Mistake, mistakesIn, type PlaceOf } from './mistakes.ts';

/** Every problem that the API replies with. The slug becomes `type`. Slugs are part of the API and never change. */
export const problems = {
  'invalid-request': { status: 422, title: 'The request is not valid' },
  'invalid-credentials': { status: 401, title: 'Email or password is wrong' },
  'invalid-token': { status: 401, title: 'The token is missing, has expired, or is not valid' },
  'origin-not-allowed': {
    status: 403,
    title: 'Pages of this origin are not allowed to use the session',
  },
  'wrong-password': { status: 403, title: 'The current password is wrong' },
  'invalid-reset-token': {
    status: 422,
    title: 'The token to reset the password is not valid, was used, or has expired',
  },
  'email-taken': { status: 409, title: 'The email address is already registered' },
  'session-not-found': { status: 404, title: 'The session was not found' },
  'order-not-found': { status: 404, title: 'The order was not found' },
  'order-not-cancellable': { status: 409, title: 'The order can no longer be cancelled' },
  'illegal-transition': { status: 409, title: 'The order cannot change to this status' },
  'invalid-idempotency-key': { status: 400, title: 'The Idempotency-Key is not valid' },
  'idempotency-key-in-use': {
    status: 409,
    title: 'Another request with this Idempotency-Key is in progress; try again shortly',
  },
  'idempotency-key-reused': {
    status: 422,
    title: 'This Idempotency-Key was used with a different request body',
  },
  'quota-exceeded': {
    status: 429,
    title: 'Too many requests',
    type: 'https://iana.org/assignments/http-problem-types#quota-exceeded',
  },
  overloaded: { status: 503, title: 'The service is busy; try again shortly' },
  unavailable: { status: 503, title: 'The service cannot reach its database; try again shortly' },
} as const satisfies Record<string, { status: number; title: string; type?: string }>;

export type ProblemSlug = keyof typeof problems;

/** RFC 9457 problem details: the body of every error reply. */
export const ProblemDetails = z
  .looseObject({
    type: z.string(),
    title: z.string(),
    status: z.int(),
    detail: z.string().optional(),
    instance: z.string().optional(),
    request_id: z.string().optional(),
    errors: z.array(Mistake).optional(),
  })
  .meta({ id: 'Problem' });

const slugByConstraint: Record<string, ProblemSlug> = {
  users_email_uq: 'email-taken',
  orders_user_fk: 'invalid-token',
  refresh_tokens_user_fk: 'invalid-token',
};
const slugBySqlState: Record<string, ProblemSlug> = {
  OM001: 'illegal-transition',
  OM010: 'idempotency-key-in-use',
  '55P03': 'overloaded', // lock timeout
  '57014': 'overloaded', // statement timeout
};

const RETRY_AFTER_SECONDS = 1;

/** An expected failure. Any function below `problemDetails` may throw it. */
export class Problem extends Error {
  override name = 'Problem';
  readonly slug: ProblemSlug;
  readonly members: Record<string, unknown>;

  constructor(slug: ProblemSlug, detail?: string, members: Record<string, unknown> = {}) {
    super(detail ?? problems[slug].title);
    this.slug = slug;
    this.members = members;
  }

  toJSON() {
    const { status, title, type }: { status: number; title: string; type?: string } =
      problems[this.slug];
    const detail = this.message;
    return { type: type ?? `/problems/${this.slug}`, title, status, detail, ...this.members };
  }
}

/**
 * Parses the body of a request. Throws `invalid-request` (422) with a pointer to each mistake, up to 20. A schema error
 * anywhere else is a bug of the service, and gets 500.
 */
export function parse<S extends z.ZodType>(schema: S, body: unknown): z.output<S> {
  return parseInput(schema, body, inBody);
}

/** Parses the parameters of the path or the query of a request. Throws `invalid-request` (422) like `parse`. */
export function parseParameters<S extends z.ZodType>(schema: S, parameters: unknown): z.output<S> {
  return parseInput(schema, parameters, inParameter);
}

function parseInput<S extends z.ZodType>(schema: S, input: unknown, placeOf: PlaceOf): z.output<S> {
  const result = schema.safeParse(input);
  if (result.success) return result.data;
  throw new Problem('invalid-request', undefined, {
    errors: mistakesIn(result.error.issues, placeOf),
  });
}

/** Turns every error of the middleware below into an `application/problem+json` reply. */
export function problemDetails(): Middleware {
  return async (ctx, next) => {
    try {
      await next();
      if (ctx.status >= 400 && ctx.body == null) ctx.throw(ctx.status);
    } catch (error) {
      const problem = toProblem(error);
      const body = problem?.toJSON() ?? fromHttp(error);
      if (isServerError(body.status)) ctx.app.emit('error', error, ctx); // to the log, not to the client
      ctx.status = body.status;
      if (body.status === 401) ctx.set('WWW-Authenticate', challenge(ctx, problem));
      if (body.status === 503 || problem?.slug === 'idempotency-key-in-use')
        ctx.set('Retry-After', String(RETRY_AFTER_SECONDS));
      ctx.body = { ...body, instance: ctx.path, request_id: ctx.state.about.request_id };
      ctx.type = 'application/problem+json'; // after the body, because setting an object as body sets the type
    }
  };
}

/** RFC 6750, 3: only the reply to a request with an access token says that the token is not valid. */
function challenge(ctx: Context, problem: Problem | undefined): string {
  const hasToken = /^Bearer +\S/i.test(ctx.get('Authorization'));
  if (problem?.slug !== 'invalid-token' || !hasToken) return 'Bearer realm="oms"';
  const description = 'The access token has expired, or is not valid';
  return `Bearer realm="oms", error="invalid_token", error_description="${description}"`;
}

// 501 is the status for an unknown method, which is a mistake of the client.
function isServerError(status: number): boolean {
  return status >= 500 && status !== 501;
}

function toProblem(error: unknown): Problem | undefined {
  if (error instanceof Problem) return error;
  if (isAuthenticationError(error)) return new Problem('invalid-token');
  if (isDatabaseAway(error)) return new Problem('unavailable');
  const slug =
    error instanceof IntegrityConstraintViolationError
      ? slugByConstraint[error.constraint ?? '']
      : slugBySqlState[sqlStateOf(error) ?? ''];
  return slug && new Problem(slug);
}

// koa-jwt throws its 401 with the reason as message. The client does not get the reason.
function isAuthenticationError(error: unknown): boolean {
  return error instanceof Error && 'status' in error && error.status === 401;
}

// RFC 9457: with the type about:blank, the title is the status phrase. The message becomes the detail only when the
// error is marked as fit for clients (`expose` of http-errors). So nothing internal leaks.
function fromHttp(error: unknown) {
  const {
    status = 500,
    expose,
    message,
  } = (error ?? {}) as {
    status?: number;
    expose?: boolean;
    message?: string;
  };
  const title = STATUS_CODES[status] ?? 'Error';
  const detail = expose === true && message !== title ? { detail: message } : {};
  return { type: 'about:blank', title, status, ...detail };
}
