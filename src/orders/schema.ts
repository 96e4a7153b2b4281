import { z } from 'zod';
import { isStorable, Text } from '../http/text.ts';
import { AmountInput, Currency, currencyDecimals, formatAmount } from './amount.ts';

const METADATA_BYTES_MAX = 4096;
const PAGE_SIZE_MAX = 100;

export const OrderStatus = z
  .enum(['PENDING', 'PROCESSING', 'COMPLETED', 'CANCELLED', 'FAILED'])
  .meta({ id: 'OrderStatus' });
export type OrderStatus = z.infer<typeof OrderStatus>;

/** An order as it is stored and sent. */
export const Order = z
  .object({
    id: z.guid().meta({ description: 'A UUID, version 7' }),
    status: OrderStatus,
    version: z.int().meta({ description: 'The number of the newest event of the order' }),
    user_id: z.guid(),
    product_name: z.string(),
    amount: z.string().meta({
      description: "An exact decimal, with the currency's number of decimals",
      example: '99.00',
    }),
    currency: z.string().meta({ example: 'USD' }),
    metadata: z.record(z.string(), z.unknown()),
    created_at: z.iso.datetime(),
    updated_at: z.iso.datetime(),
  })
  .meta({ id: 'Order' });
export type Order = z.infer<typeof Order>;

/** The body of a request that places an order. */
export const NewOrder = z
  .strictObject({
    product_name: Text.min(1, { abort: true })
      .max(200)
      .refine((name) => name.trim() !== '', 'must not be blank'),
    amount: AmountInput,
    currency: Currency.default('USD'),
    metadata: z
      .record(z.string(), z.unknown())
      .refine((metadata) => metadataBytes(metadata) <= METADATA_BYTES_MAX, {
        error: `must be at most ${METADATA_BYTES_MAX} bytes of JSON`,
        abort: true,
      })
      .refine(
        isStorable,
        'must not contain NUL, a lone surrogate, or a number that a double cannot hold exactly',
      )
      .default({})
      .meta({ description: `An object of at most ${METADATA_BYTES_MAX} bytes of JSON` }),
  })
  .transform((order, ctx) => {
    const amount = formatAmount(order.amount, order.currency);
    if (amount !== null) return { ...order, amount };
    const message = `must have at most ${currencyDecimals(order.currency)} decimals in ${order.currency}`;
    ctx.addIssue({ code: 'custom', path: ['amount'], message });
    return z.NEVER;
  })
  .meta({ id: 'NewOrder' });
export type NewOrder = z.output<typeof NewOrder>;

export const OrderId = z.strictObject({ id: z.guid() });

/** Opaque to clients: the id of the last order of the page before. */
const OrderCursor = z
  .string()
  .transform((cursor) => Buffer.from(cursor, 'base64url').toString('latin1'))
  .refine((text) => text.startsWith('o1:'), 'is not a cursor of this API')
  .transform((text) => text.slice(3))
  .pipe(z.guid('is not a cursor of this API'));

/** Returns the cursor of the page that begins after an order. */
export function cursorAfter(order: Order): string {
  return Buffer.from(`o1:${order.id}`, 'latin1').toString('base64url');
}

/** The query of GET /orders. */
export const OrderFilter = z.strictObject({
  status: OrderStatus.optional(),
  limit: z.coerce.number().int().min(1).max(PAGE_SIZE_MAX).default(20),
  cursor: OrderCursor.optional(),
});
export type OrderFilter = z.output<typeof OrderFilter>;

/** Query of GET /orders/my-orders, an alias from the original API. Its pages always have the largest size. */
export const MyOrdersFilter = OrderFilter.omit({ limit: true }).transform((filter) => ({
  ...filter,
  limit: PAGE_SIZE_MAX,
}));

export const OrderPage = z
  .object({ orders: z.array(Order), next_cursor: z.string().nullable() })
  .meta({ id: 'OrderPage' });

function metadataBytes(metadata: object): number {
  return Buffer.byteLength(JSON.stringify(metadata));
}
