/*
 * The call of the external step: a POST to FULFILMENT_URL with the order's id as Idempotency-Key and a signature
 * (https://www.standardwebhooks.com).
 */
import { Webhook } from 'standardwebhooks';
import type { WorkerDeps } from '../deps.ts';
import { innermostMessage } from '../error-cause.ts';
import { printable } from '../printable.ts';
import type { Order } from './schema.ts';

/** The 4xx answers after which the call is repeated later. Any other 4xx refuses the order. */
const RETRIABLE = new Set([408, 409, 425, 429]);
const RETRY_AFTER_SECONDS_MAX = 3600;
const REASON_LENGTH_MAX = 300;

/** The outcome of a call. `retry_after_seconds` is set when the answer has a valid Retry-After. */
export type Answer =
  | { outcome: 'accepted' }
  | { outcome: 'refused'; reason: string }
  | { outcome: 'retry'; reason: string; retry_after_seconds?: number };

/** Sends an order to FULFILMENT_URL, and reads the answer. Never throws: after any error, the order is retried. */
export async function requestFulfilment(
  { config }: Pick<WorkerDeps, 'config'>,
  order: Order,
  signal: AbortSignal,
): Promise<Answer> {
  const { FULFILMENT_URL = '', FULFILMENT_SECRET = '', FULFILMENT_TIMEOUT_MS } = config;
  const body = JSON.stringify(order);
  const at = new Date();
  try {
    const response = await fetch(FULFILMENT_URL, {
      method: 'POST',
      redirect: 'manual',
      signal: AbortSignal.any([signal, AbortSignal.timeout(FULFILMENT_TIMEOUT_MS)]),
      body,
      headers: {
        'content-type': 'application/json',
        'idempotency-key': order.id,
        'webhook-id': order.id,
        'webhook-timestamp': String(Math.floor(at.getTime() / 1000)),
        'webhook-signature': new Webhook(FULFILMENT_SECRET).sign(order.id, at, body),
      },
    });
    return await readAnswer(response);
  } catch (error) {
    const why = printable(innermostMessage(error), REASON_LENGTH_MAX);
    return { outcome: 'retry', reason: `fulfilment did not answer: ${why}` };
  }
}

async function readAnswer(response: Response): Promise<Answer> {
  const { status, headers, ok } = response;
  // The beginning of the body is always read, so that the connection of a short answer can be reused. But only the
  // status decides: a body that breaks off or never arrives does not change the outcome.
  const beginning = await beginningOf(response).catch(() => '');
  const reason = `fulfilment answered ${status} ${beginning}`.trimEnd();
  if (ok) return { outcome: 'accepted' };
  if (status >= 400 && status < 500 && !RETRIABLE.has(status))
    return { outcome: 'refused', reason };
  const pause = parseRetryAfter(headers.get('retry-after'));
  return { outcome: 'retry', reason, ...(pause !== undefined && { retry_after_seconds: pause }) };
}

/** Reads the beginning of a body, at most REASON_LENGTH_MAX characters, and cancels the rest. */
async function beginningOf(response: Response): Promise<string> {
  const reader = response.body?.getReader();
  if (!reader) return '';
  const { value } = await reader.read();
  await reader.cancel();
  return printable(new TextDecoder().decode(value), REASON_LENGTH_MAX);
}

/** Converts a Retry-After (RFC 9110, 10.2.3), seconds or a date, to seconds from now. Undefined if it is not valid. */
export function parseRetryAfter(value: string | null, now = Date.now()): number | undefined {
  if (!value) return undefined;
  const isDate = value.endsWith(' GMT') && !Number.isNaN(Date.parse(value));
  if (!isDate && !/^\d+$/.test(value)) return undefined;
  const seconds = isDate ? (Date.parse(value) - now) / 1000 : Number(value);
  return Math.min(Math.max(Math.ceil(seconds), 0), RETRY_AFTER_SECONDS_MAX);
}
