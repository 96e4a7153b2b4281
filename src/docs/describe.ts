import type { ZodOpenApiResponseObject } from 'zod-openapi';
import { z } from 'zod';
import { ProblemDetails, problems, type ProblemSlug } from '../http/problem.ts';

/** A JSON body in a path description. */
export function json(schema: z.ZodType, description: string): ZodOpenApiResponseObject {
  return { description, content: { 'application/json': { schema } } };
}

/** A JSON request body in a path description. */
export function jsonRequest(schema: z.ZodType, required = true) {
  return { required, content: { 'application/json': { schema } } };
}

/** What any body can be refused with before its schema is looked at. */
export const bodyProblems: Record<string, ZodOpenApiResponseObject> = Object.fromEntries(
  [
    ['400', 'Not valid JSON'],
    ['413', 'Over 100 kB'],
    ['415', 'Not application/json'],
  ].map(([status = '', description = '']) => [status, problemResponse(description)]),
);

/** A problem in a path description, and what it may be about. */
export function problemResponse(...descriptions: string[]): ZodOpenApiResponseObject {
  const description = descriptions.join('; or: ');
  return { description, content: { 'application/problem+json': { schema: ProblemDetails } } };
}

/** The problems that an operation can answer with, grouped by status. */
export function problemResponses(
  ...slugs: ProblemSlug[]
): Record<string, ZodOpenApiResponseObject> {
  const byStatus = Map.groupBy(slugs, (slug) => String(problems[slug].status));
  const entries = [...byStatus].map(([status, group]) => {
    return [status, problemResponse(...group.map((slug) => problems[slug].title))];
  });
  return Object.fromEntries(entries) as Record<string, ZodOpenApiResponseObject>;
}

/** The header that makes a request safe to send again. */
export const idempotencyKey = z.object({
  'Idempotency-Key': z
    .string()
    .optional()
    .meta({
      description:
        'At most 255 characters of your own making, as a structured-field string or without quotes. Send ' +
        'the request again under the same key, with the same body, and you get the same reply; it has its ' +
        'effect once. Kept for 24 hours unless the service is set otherwise; a refused request keeps nothing.',
      example: '"8e03978e-40d5-43dd-bc93-6894a57f9324"',
    }),
});

/** The header of a reply that was given before. */
export const idempotentReplayed = z.object({
  'Idempotent-Replayed': z.literal('true').optional().meta({
    description: 'This is the reply to an earlier request under the same Idempotency-Key',
  }),
});
