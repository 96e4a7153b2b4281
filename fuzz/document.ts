import { z } from 'zod';

/** A JSON Schema: those of its keywords that say how to make a value. */
export type Schema = {
  $ref?: string;
  type?: string | string[];
  enum?: unknown[];
  const?: unknown;
  anyOf?: Schema[];
  oneOf?: Schema[];
  properties?: Record<string, Schema>;
  required?: string[];
  items?: Schema;
  format?: string;
  minLength?: number;
  maxLength?: number;
  minimum?: number;
  maximum?: number;
  example?: unknown;
  examples?: unknown[];
  default?: unknown;
};

/** A parameter of an operation. */
type Parameter = { name: string; in: string; schema: Schema; required?: boolean };

/** One operation of the OpenAPI document. */
export type Operation = {
  id: string;
  method: string;
  path: string;
  parameters: Parameter[];
  body: Schema | undefined;
  needsToken: boolean;
  /** The schemas of its replies, by status and media type. A media type without a schema has null. */
  replies: Record<string, Record<string, object | null>>;
};

/** The OpenAPI document: those of its members that this command reads. */
export type Document = {
  paths: Record<string, Record<string, OperationObject>>;
  components: { schemas: Record<string, Schema> };
};

type OperationObject = {
  operationId: string;
  parameters?: Parameter[];
  requestBody?: { content: Record<string, { schema: Schema }> };
  security?: Record<string, unknown>[];
  responses: Record<string, { content?: Record<string, { schema?: object }> }>;
};

/** Reads the OpenAPI document of a running API. */
export async function readDocument(origin: string): Promise<Document> {
  const reply = await fetch(`${origin}/openapi.json`);
  return z
    .looseObject({ paths: z.looseObject({}) })
    .parse(await reply.json()) as unknown as Document;
}

/** The operations of the document. */
export function operationsOf({ paths }: Document): Operation[] {
  return Object.entries(paths).flatMap(([path, item]) =>
    Object.entries(item).map(([method, operation]) => ({
      id: operation.operationId,
      method: method.toUpperCase(),
      path,
      parameters: operation.parameters ?? [],
      body: operation.requestBody?.content['application/json']?.schema,
      needsToken: operation.security?.some((scheme) => 'bearer' in scheme) ?? false,
      replies: Object.fromEntries(
        Object.entries(operation.responses).map(([status, { content = {} }]) => [
          status,
          Object.fromEntries(
            Object.entries(content).map(([type, { schema }]) => [type, schema ?? null]),
          ),
        ]),
      ),
    })),
  );
}
