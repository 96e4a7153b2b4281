import createHttpError from 'http-errors';
import type { Middleware, ParameterizedContext } from 'koa';
import { Bytes } from './bytes.ts';
import { ClientGone } from './client-gone.ts';
import { isExact } from './exact-number.ts';
import { hasBody, type BoundedResponse } from './response.ts';
import type { AppState } from './state.ts';

type Context = ParameterizedContext<AppState>;

const BODY_BYTES_MAX = 100_000;

/**
 * Reads a JSON body into `ctx.state.body`. Refuses a body over 100 kB with 413, one that is not application/json with
 * 415, and one that does not parse with 400. A request without a body passes, and so does one with an empty body.
 */
export function jsonBody(): Middleware<AppState> {
  return async (ctx, next) => {
    if (hasBody(ctx.req)) {
      const refusal = refusalOf(ctx);
      const bytes = await readBody(ctx, refusal ?? tooLarge, refusal ? 0 : BODY_BYTES_MAX);
      ctx.state.body = parseJson(bytes);
    }
    await next();
  };
}

/** Returns what creates the error for a body that is refused. Without a Content-Length, the body may still be empty. */
function refusalOf(ctx: Context): (() => Error) | undefined {
  const { headers } = ctx.req;
  const isJson = headers['content-type'] === 'application/json' || ctx.is('application/json');
  if (!isJson) return notJson;
  if (isEncoded(headers['content-encoding'])) return encoded;
  return Number(headers['content-length'] ?? '0') > BODY_BYTES_MAX ? tooLarge : undefined;
}

/** RFC 9110 8.4: the names of codings are case-insensitive, and `identity` means no coding. */
function isEncoded(contentEncoding = ''): boolean {
  return contentEncoding.split(',').some((coding) => !/^(?:identity)?$/i.test(coding.trim()));
}

/**
 * Reads the whole body. Rejects with an error from `refusal` as soon as there are more bytes than `bytesMax`, and reads
 * no more.
 */
async function readBody(
  { req, res }: Pick<Context, 'req' | 'res'>,
  refusal: () => Error,
  bytesMax: number,
): Promise<Buffer> {
  if (Number(req.headers['content-length'] ?? '0') > bytesMax) throw refusal();
  const response = res as BoundedResponse;
  response.beginReceiving();
  const { promise, resolve, reject } = Promise.withResolvers<Buffer>();
  const body = new Bytes();
  const onData = (chunk: Buffer) => {
    if (body.length + chunk.length > bytesMax) reject(refusal());
    else body.add(chunk);
  };
  const onEnd = () => resolve(body.all);
  const onClose = () => {
    if (!req.readableEnded) reject(new ClientGone());
  };
  req.on('data', onData).on('end', onEnd).on('close', onClose);
  try {
    return await promise;
  } finally {
    if (!req.readableEnded) req.pause();
    req.off('data', onData).off('end', onEnd).off('close', onClose);
    response.beginWork();
  }
}

// Created only when a request is refused: the stack of an error costs more than reading a small body.
const notJson = () => createHttpError(415, 'The body must be application/json.');
const encoded = () => createHttpError(415, 'The body must have no Content-Encoding.');
const tooLarge = () => createHttpError(413, 'The body is larger than 100 kB.');

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
