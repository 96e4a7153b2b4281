import { createHash } from 'node:crypto';
import type { ParameterizedContext } from 'koa';

/**
 * A document that never changes while the process runs. All replies share its bytes, so that replies which wait for
 * slow clients take no memory of their own.
 */
export type Document = { type: string; bytes: Buffer; etag: string; maxAgeSeconds: number };

/** Creates a document. Its ETag is strong: it stands for exactly these bytes. */
export function createDocument(
  type: string,
  content: string | Buffer,
  maxAgeSeconds: number,
): Document {
  const bytes = Buffer.from(content);
  const etag = `"${createHash('sha256').update(bytes).digest('base64url')}"`;
  return { type, bytes, etag, maxAgeSeconds };
}

/** Creates a JSON document. */
export function jsonDocument(value: unknown, maxAgeSeconds: number): Document {
  return createDocument('application/json; charset=utf-8', JSON.stringify(value), maxAgeSeconds);
}

/** Replies with a document, or with 304 when the client has it already. */
export function sendDocument(ctx: ParameterizedContext, document: Document): void {
  ctx.set('ETag', document.etag);
  ctx.set('Cache-Control', `public, max-age=${document.maxAgeSeconds}`);
  if (hasDocument(ctx.get('If-None-Match'), document.etag)) {
    ctx.status = 304;
    return;
  }
  ctx.type = document.type;
  ctx.body = document.bytes;
}

/** RFC 9110 13.1.2: a list of tags, compared without `W/`, or `*`. */
function hasDocument(ifNoneMatch: string, etag: string): boolean {
  const tags = ifNoneMatch.split(',').map((tag) => tag.trim());
  return tags.some((tag) => tag === '*' || tag === etag || tag === `W/${etag}`);
}
