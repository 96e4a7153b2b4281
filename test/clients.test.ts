import { createRequire } from 'node:module';
import { test, withSettings } from './support/context.ts';
import { NO_LIMITS } from './support/template.ts';

type Execution = {
  item: { name: string };
  // oxlint-disable-next-line typescript/no-explicit-any -- tests read members of any reply
  response: { code: number; json: () => any };
};
type Summary = {
  run: {
    executions: Execution[];
    failures: { error: Error; source?: { name?: string } }[];
    stats: { assertions: { total: number } };
  };
};
type Newman = {
  run: (options: object, done: (error: Error | null, summary: Summary) => void) => void;
};
const newman = createRequire(import.meta.url)('newman') as Newman;

/** The collection of the clients of the system that this one replaces, unchanged. */
const SEED = './support/seed/postman_collection.json';

/** Undoes NO_LIMITS. An empty setting counts as not set. */
const DEFAULT_LIMITS = Object.fromEntries(Object.keys(NO_LIMITS).map((name) => [name, '']));

/** Runs a collection, or only one folder of it, with the given variables. */
async function runCollection(
  file: string,
  variables: Record<string, string>,
  folder?: string,
): Promise<Summary['run']> {
  const collection = new URL(file, import.meta.url).pathname;
  const envVar = Object.entries(variables).map(([key, value]) => ({ key, value }));
  const { run } = await new Promise<Summary>((resolve, reject) => {
    newman.run({ collection, envVar, ...(folder && { folder }) }, (error, summary) =>
      error ? reject(error) : resolve(summary),
    );
  });
  return run;
}

test('our Postman collection runs from start to end without help', async (t) => {
  const run = await runCollection('../postman_collection.json', { base_url: t.context.origin });

  t.deepEqual(
    run.failures.map(({ source, error }) => `${source?.name}: ${error.message}`),
    [],
  );
  t.true(run.stats.assertions.total > 40);
});

test('the unchanged Postman collection of the replaced system runs against the default settings', async (t) => {
  const { origin } = await withSettings(t, DEFAULT_LIMITS);
  const variables: Record<string, string> = { base_url: origin };
  const statuses: Record<string, number> = {};
  // oxlint-disable-next-line typescript/no-explicit-any -- tests read members of any reply
  const replies: Record<string, any> = {};
  const send = async (folder: string) => {
    const { executions } = await runCollection(SEED, variables, folder);
    for (const { item, response } of executions) {
      statuses[item.name] = response.code;
      replies[item.name] = response.json();
    }
  };

  await send('Auth Endpoints');
  variables.access_token = replies['Login User'].access_token; // a person copies token and order id by hand
  await send('Create Order');
  variables.order_id = replies['Create Order'].id;
  await send('Get My Orders');
  await send('Cancel Order');

  t.deepEqual(statuses, {
    'Register User': 201,
    'Login User': 200,
    'Create Order': 201,
    'Get My Orders': 200,
    'Cancel Order': 200,
  });
  t.deepEqual(Object.keys(replies['Register User']), ['id', 'name', 'email']);
  t.is(replies['Login User'].token_type, 'bearer');
  t.like(replies['Create Order'], {
    product_name: 'Book',
    amount: '99.00',
    status: 'PENDING',
    user_id: replies['Register User'].id,
  });
  t.deepEqual(replies['Get My Orders'], [replies['Create Order']]);
  t.is(replies['Cancel Order'].status, 'CANCELLED');
});
