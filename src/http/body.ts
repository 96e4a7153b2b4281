import type { IncomingMessage } from 'node:http';
import createHttpError from 'http-errors';
import type { Middleware } from 'koa';
import { isExact } from './exact-number.ts';
import type { AppState } from './state.ts';

const BODY_BYTES_MAX = 100_000;

/**
 * Reads a JSON body into `ctx.state.body`. Refuses a body over 100 kB with 413, one that is not application/json with
 * 415, and one that does not parse with 400. A request without a body passes.
 */
export function jsonBody(): Middleware<AppState> {
  return async (ctx, next) => {
    const { headers } = ctx.req;
    const length = Number(headers['content-length'] ?? '0');
    if (length > 0 || headers['transfer-encoding']) {
      const isJson = headers['content-type'] === 'application/json' || ctx.is('application/json');
      if (!isJson) throw createHttpError(415, 'The body must be application/json.');
      if ((headers['content-encoding'] || 'identity') !== 'identity') {
        throw createHttpError(415, 'The body must have no Content-Encoding.');
      }
      if (length > BODY_BYTES_MAX) throw tooLarge();
      ctx.state.body = parseJson(await readBody(ctx.req));
    }
    await next();
  };
}

/** Reads the whole body. Rejects when it exceeds the limit, and does not read the rest. */
function readBody(req: IncomingMessage): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let bytes = 0;
    req.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes <= BODY_BYTES_MAX) chunks.push(chunk);
      else {
        req.pause();
        reject(tooLarge());
      }
    });
    req.on('end', () => resolve(Buffer.concat(chunks)));
    req.on('close', () => {
      if (!req.readableEnded) reject(aborted());
    });
  });
}

function tooLarge(): Error {
  return createHttpError(413, 'The body is larger than 100 kB.');
}

function aborted(): Error {
  return createHttpError(400, 'The client disconnected before it sent the whole body.', {
    type: 'request.aborted', // as raw-body names it
  });
}

const utf8 = new TextDecoder('utf-8', { fatal: true });

/**
 * Matches every text that `screenMember` can refuse: one with 16 digits in a row or an exponent (a double holds any
 * other number exactly), with the name `__proto__`, or with an escape, which can spell that name.
 */
const NEEDS_SCREENING = /[\d.]{16}|\d[eE]|__proto__|\\/;

/**
 * Longer texts are always screened: they can be nested so deeply that recursive code fails on them later. Screening is
 * recursive too, so such a text is refused here.
 */
const UNSCREENED_CHARACTERS_MAX = 4000;

function parseJson(bytes: Buffer): unknown {
  try {
    const text = utf8.decode(bytes);
    if (text === '') return undefined;
    const isScreened = text.length > UNSCREENED_CHARACTERS_MAX || NEEDS_SCREENING.test(text);
    return JSON.parse(text, isScreened ? screenMember : undefined) as unknown;
  } catch (cause) {
    if (createHttpError.isHttpError(cause)) throw cause;
    throw createHttpError(400, 'The body is not valid JSON.', { cause });
  }
}

/**
 * Checks each member while JSON.parse reads it. Replaces a number that a double cannot hold exactly by NaN, which no
 * schema accepts. So 1e309 and 0.10000000000000000001 are refused with a pointer, and not stored as another number.
 */
function screenMember(key: string, value: unknown, context?: { source?: string }): unknown {
  // zod ignores a member with this name, so it would be neither refused nor stored.
  if (key === '__proto__') throw createHttpError(400, 'A member must not be named __proto__.');
  if (typeof value !== 'number' || context?.source === undefined) return value;
  return isExact(value, context.source) ? value : Number.NaN;
}
