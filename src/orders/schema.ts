import { z } from 'zod';
import { Text } from '../http/text.ts';
import { AmountInput, Currency, currencyDecimals, formatAmount } from './amount.ts';
import { Metadata, StoredMetadata } from './metadata.ts';

const PRODUCT_NAME_CHARACTERS_MAX = 200;
const PAGE_SIZE_MAX = 100;

export const OrderStatus = z
  .enum(['PENDING', 'PROCESSING', 'COMPLETED', 'CANCELLED', 'FAILED'])
  .meta({ id: 'OrderStatus' });
export type OrderStatus = z.infer<typeof OrderStatus>;

/** An order in a reply. */
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

/** An order as the database returns it: the metadata is JSON text. */
export const StoredOrder = Order.extend({ metadata: StoredMetadata });

/** The body of a request that places an order. */
export const NewOrder = z
  .strictObject({
    product_name: Text.min(1, { abort: true })
      .refine(
        (name) => Array.from(name).length <= PRODUCT_NAME_CHARACTERS_MAX,
        `must have at most ${PRODUCT_NAME_CHARACTERS_MAX} characters`,
      )
      .refine((name) => name.trim() !== '', 'must not be blank')
      .meta({ maxLength: PRODUCT_NAME_CHARACTERS_MAX }),
    amount: AmountInput,
    currency: Currency.default('USD'),
    metadata: Metadata.default({}),
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
