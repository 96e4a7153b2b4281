import { z } from 'zod';
import { OrderStatus } from './schema.ts';

/**
 * The reasons that customers see, by code. The view customer_events (sql/functions/customer_events.sql) decides the
 * code. No text of an error, of the external step or of an operator is ever part of a reply.
 */
const REASONS = {
  'placed-by-staff': 'Our staff placed the order for you.',
  'cancelled-by-staff': 'Our staff cancelled the order.',
  'retried-by-staff': 'Our staff put the order back to be processed.',
  'changed-by-staff': 'Our staff changed the status of the order.',
  'fulfilment-refused': 'The order was refused and cannot be fulfilled.',
  'attempts-used-up': 'The order could not be processed. We have stopped trying.',
} as const;

const ReasonCode = z
  .enum(Object.keys(REASONS) as [keyof typeof REASONS])
  .meta({ id: 'ReasonCode', description: 'Why the event happened. Later versions may add codes.' });

/** A row of customer_events. */
export const CustomerEvent = z.object({
  version: z.int(),
  from_status: OrderStatus.nullable(),
  to_status: OrderStatus,
  actor: z.enum(['you', 'staff', 'system']),
  reason_code: ReasonCode.nullable(),
  at: z.iso.datetime(),
});

/** An event in a reply. */
export const OrderEvent = CustomerEvent.extend({
  reason: z.string().nullable().meta({
    description: 'The reason in a sentence, for people',
    example: REASONS['attempts-used-up'],
  }),
}).meta({ id: 'OrderEvent' });
export type OrderEvent = z.infer<typeof OrderEvent>;

export const OrderEvents = z.object({ events: z.array(OrderEvent) }).meta({ id: 'OrderEvents' });

/** Adds the sentence for its reason code to an event. */
export function withReason(event: z.infer<typeof CustomerEvent>): OrderEvent {
  return { ...event, reason: event.reason_code && REASONS[event.reason_code] };
}
