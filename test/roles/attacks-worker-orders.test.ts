import { testAttacks, type Attack } from '../support/attacks.ts';
import { claimSql, failOrderSql } from '../support/queue-rows.ts';

// A stolen login of the worker calls the functions that change orders, with arguments that no worker passes.

const claimed = (id: string, members = '{}') =>
  `(SELECT jsonb_build_object('id', id, 'retry_count', retry_count, 'data', data, 'status', 'COMPLETED')
    || '${members}' FROM pgboss.job WHERE name = 'process-order' AND id = '${id}')`;
const settle = (entries: string, worker = `'a:1'`) =>
  `SELECT settle_orders(jsonb_build_array(${entries}), ${worker}, 1000);`;
const failWith = (letter: string, order: string, worker: string) =>
  `SELECT fail_orders(jsonb_build_array(jsonb_build_object('id', '${letter}', 'retry_count', 0, 'order_id',
    '${order}')), ${worker}, 1000)`;
const forgedLetter = (order: string) =>
  `INSERT INTO pgboss.job (name, data, state, source_name, source_id, source_root_id, source_retry_count)
   SELECT 'fail-order', jsonb_build_object('order_id', o.id, 'xact_id', o.xact_id::text), 'active', 'process-order',
     '${order}', '${order}', 12
   FROM orders AS o WHERE o.id = '${order}';`;

const ODD = 'OM008';
const LOST = 'OM009';
const FORBIDDEN_STEP = 'OM001';
const NO_ARRAY = '22023';
const NEGATIVE_LIMIT = '2201W';

const names: Attack[] = [
  [`'user:ada'`, 'the name of a user'],
  [`'role:postgres'`, 'the name of a DBA'],
  [`E'a:1\\n'`, 'a name with a line break'],
  [`E'x\\nuser:1'`, 'a name of two lines'],
  [`''`, 'an empty name'],
  ['NULL', 'NULL as name'],
  [`repeat('a', 300) || ':1'`, 'a very long name'],
].flatMap(([name, goal]): Attack[] => [
  [
    `complete an order under ${goal}`,
    (on) => `BEGIN; ${claimSql(on.order)} ${settle(claimed(on.order), name)} COMMIT`,
    ODD,
  ],
  [`process orders under ${goal}`, `SELECT order_ids FROM process_orders(10, ${name})`, ODD],
]);

const attacks: Attack[] = [
  ...names,
  [
    'take orders without a name',
    (on) => `BEGIN; ${claimSql(on.order)}
    SELECT * FROM take_orders(jsonb_build_array(${claimed(on.order)}), NULL, 1000); COMMIT`,
    ODD,
  ],
  [
    'fail orders without a name',
    (on) => `${claimSql(on.letter)} ${failWith(on.letter, on.givenUp, 'NULL')}`,
    ODD,
  ],
  ...['PENDING', 'PROCESSING', 'CANCELLED'].map((status): Attack => [
    `settle an order as ${status}`,
    (on) => `${claimSql(on.order)} ${settle(claimed(on.order, `{"status": "${status}"}`))}`,
    FORBIDDEN_STEP,
  ]),
  [
    'settle an order without a status',
    (on) => settle(claimed(on.order, '{"status": null}')),
    FORBIDDEN_STEP,
  ],
  ['complete an order that it has not claimed', (on) => settle(claimed(on.order)), LOST],
  [
    'complete an order with another attempt',
    (on) => `${claimSql(on.order)} ${settle(claimed(on.order, '{"retry_count": 7}'))}`,
    LOST,
  ],
  [
    'complete an order without an attempt',
    (on) => `${claimSql(on.order)} ${settle(claimed(on.order, '{"retry_count": null}'))}`,
    FORBIDDEN_STEP,
  ],
  [
    'complete an order with the job of another order',
    (on) => `${claimSql(on.order)} ${settle(claimed(on.order, `{"id": "${on.other}"}`))}`,
    LOST,
  ],
  [
    'name an order twice, once with a wrong attempt',
    (on) =>
      `${claimSql(on.order)} ${settle(
        `${claimed(on.order, '{"retry_count": 99, "status": "FAILED"}')}, ${claimed(on.order)}`,
      )}`,
    ODD,
  ],
  ['complete an order that is completed', (on) => settle(claimed(on.done))],
  ['settle an argument that is not an array', `SELECT settle_orders('7', 'a:1', 1000)`, NO_ARRAY],
  ['complete orders with NULL for every argument', 'SELECT complete_orders(NULL, NULL, NULL)', ODD],
  [
    'process a negative number of orders',
    `SELECT order_ids FROM process_orders(-1, 'a:1')`,
    NEGATIVE_LIMIT,
  ],
  [
    'fail an order with a dead letter that it has made up',
    (on) => `${forgedLetter(on.order)} ${failOrderSql(on.order)}`,
    ODD,
  ],
  [
    'fail an order with the dead letter of another order',
    (on) => `${claimSql(on.letter)} ${failWith(on.letter, on.order, `'a:1'`)}`,
    LOST,
  ],
];

testAttacks('the worker’s login', 'oms_worker', attacks);
