import { sql } from 'slonik';
import { signUp, test } from '../../test/support/context.ts';
import { insertOrders } from '../../test/support/orders.ts';

type User = Awaited<ReturnType<typeof signUp>>;

test('orders are listed newest first', async (t) => {
  const user = await signUp(t.context);
  const ids = [await user.place(), await user.place(), await user.place()];

  const { status, body } = await user.request('GET', '/orders');

  t.is(status, 200);
  t.deepEqual(idsOf(body.orders), ids.toReversed());
  t.is(body.next_cursor, null);
});

test('a user without orders has an empty list', async (t) => {
  const user = await signUp(t.context);

  const page = await user.request('GET', '/orders');
  const array = await user.request('GET', '/orders/my-orders');

  t.deepEqual(page.body, { orders: [], next_cursor: null });
  t.deepEqual(array.body, []);
  t.is(linkOf(array.headers), undefined);
});

test('a user sees only their own orders', async (t) => {
  const [user, other] = [await signUp(t.context), await signUp(t.context)];
  const id = await user.place();
  await other.place();

  const { body } = await user.request('GET', '/orders');

  t.deepEqual(idsOf(body.orders), [id]);
});

test('the pages together have every order once, newest first', async (t) => {
  const user = await signUp(t.context);
  const ids = await insertOrders(t.context.deps, user.id, 25);

  const pages = await walk(user, '/orders?limit=10');

  t.deepEqual(
    pages.map((page) => page.length),
    [10, 10, 5],
  );
  t.deepEqual(pages.flat(), ids.toReversed());
});

test('a full last page is followed by an empty page, which ends the list', async (t) => {
  const user = await signUp(t.context);
  await insertOrders(t.context.deps, user.id, 6);

  const pages = await walk(user, '/orders?limit=3');

  t.deepEqual(
    pages.map((page) => page.length),
    [3, 3, 0],
  );
});

test('orders that are placed between two pages do not change the pages that follow', async (t) => {
  const user = await signUp(t.context);
  const ids = await insertOrders(t.context.deps, user.id, 9);

  const pages = await walk(user, '/orders?limit=2', () => user.place());

  t.deepEqual(pages.flat(), ids.toReversed());
});

test('a page has 20 orders by default, and 100 with the largest limit', async (t) => {
  const user = await signUp(t.context);
  await insertOrders(t.context.deps, user.id, 120);

  const usual = await user.request('GET', '/orders');
  const largest = await user.request('GET', '/orders?limit=100');

  t.is(usual.body.orders.length, 20);
  t.is(largest.body.orders.length, 100);
});

test('a list can be limited to one status, also over several pages', async (t) => {
  const user = await signUp(t.context);
  const ids = await insertOrders(t.context.deps, user.id, 9);
  const cancelled = ids.filter((_, index) => index % 2 === 0);
  await t.context.deps.pool.query(sql.unsafe`
    UPDATE orders SET status = 'CANCELLED' WHERE id = ANY(${sql.array(cancelled, 'uuid')})
  `);

  const pages = await walk(user, '/orders?limit=2&status=CANCELLED');
  const open = await user.request('GET', '/orders?status=PENDING');
  const none = await user.request('GET', '/orders?status=FAILED');

  t.deepEqual(pages.flat(), cancelled.toReversed());
  t.is(open.body.orders.length, 4);
  t.deepEqual(none.body, { orders: [], next_cursor: null });
});

test('with the cursor of another user, a user still sees only their own orders', async (t) => {
  const [user, other] = [await signUp(t.context), await signUp(t.context)];
  const own = await insertOrders(t.context.deps, other.id, 2);
  await insertOrders(t.context.deps, user.id, 2);
  const { body } = await user.request('GET', '/orders?limit=1');

  const page = await other.request('GET', `/orders?cursor=${body.next_cursor}`);

  t.deepEqual(idsOf(page.body.orders), own.toReversed());
});

test('the list of the original API is an array of the newest 100 orders, with a link to the rest', async (t) => {
  const user = await signUp(t.context);
  const ids = await insertOrders(t.context.deps, user.id, 130);

  const first = await user.request('GET', '/orders/my-orders?status=PENDING');
  const link = linkOf(first.headers);
  const second = await user.request('GET', link ?? '');

  t.is(first.status, 200);
  t.deepEqual(idsOf(first.body), ids.toReversed().slice(0, 100));
  t.regex(link ?? '', /^\/orders\/my-orders\?status=PENDING&cursor=/);
  t.deepEqual(idsOf(second.body), ids.toReversed().slice(100));
  t.is(linkOf(second.headers), undefined);
});

test('the link and the cursor of a page lead to the same page', async (t) => {
  const user = await signUp(t.context);
  await insertOrders(t.context.deps, user.id, 5);

  const { body, headers } = await user.request('GET', '/orders?limit=2');
  const byLink = await user.request('GET', linkOf(headers) ?? '');
  const byCursor = await user.request('GET', `/orders?limit=2&cursor=${body.next_cursor}`);

  t.is(byLink.body.orders.length, 2);
  t.deepEqual(byLink.body, byCursor.body);
});

test('a user with 5000 orders can read all of them, 100 at a time', async (t) => {
  const user = await signUp(t.context);
  const ids = await insertOrders(t.context.deps, user.id, 5000);

  const pages = await walk(user, '/orders?limit=100');

  t.is(pages.length, 51); // the last one is empty
  t.deepEqual(pages.flat(), ids.toReversed());
});

/** The ids of every page. Calls `meanwhile` after each page. */
async function walk(user: User, path: string, meanwhile: () => Promise<unknown> = async () => {}) {
  const pages: string[][] = [];
  let cursor = '';
  do {
    const { body } = await user.request('GET', `${path}${cursor}`);
    pages.push(idsOf(body.orders));
    cursor = body.next_cursor && `&cursor=${body.next_cursor}`;
    await meanwhile();
  } while (cursor);
  return pages;
}

function idsOf(orders: { id: string }[]): string[] {
  return orders.map(({ id }) => id);
}

function linkOf(headers: Headers): string | undefined {
  return /<([^>]+)>; rel="next"/.exec(headers.get('link') ?? '')?.[1];
}
