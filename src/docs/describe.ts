import type { ZodOpenApiResponseObject } from 'zod-openapi';
import type { z } from 'zod';
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
  ].map(([status, description]) => [
    status,
    { description, content: { 'application/problem+json': { schema: ProblemDetails } } },
  ]),
);

/** The problems that an operation can answer with, grouped by status. */
export function problemResponses(
  ...slugs: ProblemSlug[]
): Record<string, ZodOpenApiResponseObject> {
  const byStatus = Map.groupBy(slugs, (slug) => String(problems[slug].status));
  const entries = [...byStatus].map(([status, group]) => {
    const description = group.map((slug) => problems[slug].title).join('; or: ');
    return [
      status,
      { description, content: { 'application/problem+json': { schema: ProblemDetails } } },
    ];
  });
  return Object.fromEntries(entries) as Record<string, ZodOpenApiResponseObject>;
}
