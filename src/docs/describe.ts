import type { ZodOpenApiResponseObject } from 'zod-openapi';
import { z } from 'zod';
import { ProblemDetails, problems, type ProblemSlug } from '../http/problem.ts';

/** A reply with a JSON body. */
export function json(schema: z.ZodType, description: string): ZodOpenApiResponseObject {
  return { description, content: { 'application/json': { schema } } };
}

/** A request with a JSON body. */
export function jsonRequest(schema: z.ZodType, required = true) {
  return { required, content: { 'application/json': { schema } } };
}

/** The refusals of a body before its schema is checked. */
export const bodyProblems: Record<string, ZodOpenApiResponseObject> = Object.fromEntries(
  [
    ['400', 'The body is not valid JSON'],
    ['413', 'The body is larger than 100 kB'],
    ['415', 'The body is not application/json'],
  ].map(([status = '', description = '']) => [status, problemResponse(description)]),
);

/** A reply with a problem. `descriptions` are its possible causes. */
export function problemResponse(...descriptions: string[]): ZodOpenApiResponseObject {
  const description = descriptions.join('; or: ');
  return { description, content: { 'application/problem+json': { schema: ProblemDetails } } };
}

/** The replies with these problems, one for each status. */
export function problemResponses(
  ...slugs: ProblemSlug[]
): Record<string, ZodOpenApiResponseObject> {
  const byStatus = Map.groupBy(slugs, (slug) => String(problems[slug].status));
  const entries = [...byStatus].map(([status, group]) => {
    return [status, problemResponse(...group.map((slug) => problems[slug].title))];
  });
  return Object.fromEntries(entries) as Record<string, ZodOpenApiResponseObject>;
}

/** The request header that makes retries safe. */
export const idempotencyKey = z.object({
  'Idempotency-Key': z
    .string()
    .optional()
    .meta({
      description:
        'A key of your choice: at most 255 characters, as a structured-field string or without quotes. If you ' +
        'repeat a request with the same key and the same body, you get the same reply, and the request takes ' +
        'effect only once. A key is kept for 24 hours, unless the service is configured otherwise. A refused ' +
        'request does not use up its key.',
      example: '"8e03978e-40d5-43dd-bc93-6894a57f9324"',
    }),
});

/** The reply header of a repeated request. */
export const idempotentReplayed = z.object({
  'Idempotent-Replayed': z.literal('true').optional().meta({
    description: 'This is the stored reply to an earlier request with the same Idempotency-Key',
  }),
});
