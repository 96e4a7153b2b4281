/* Processing: an order and its job end together, once, by the attempt that holds the claim. */
import { detectedBy, inFunction, type Mutation } from './mutation.ts';

const PROCESS_JOBS = 'WHERE j.row_id = due.row_id;';
const RIGHT_CLAIM = 'does nothing for an attempt that has lost its claim';

const together = detectedBy('processing', 'process_orders completes an order and settles its job');

const noFence = inFunction(
  'settle_orders',
  'settle_orders',
  'IF settled <> cardinality(ended) THEN',
  'IF false THEN',
);

export const processed: Mutation[] = [
  {
    name: 'settle_orders has an effect without the claim',
    edits: [noFence],
    detector: detectedBy('fences', `settle_orders ${RIGHT_CLAIM}`),
  },
  {
    name: 'complete_orders has an effect without the claim',
    edits: [
      inFunction(
        'complete_orders',
        'settle_orders',
        `(SELECT jsonb_agg(c || '{"status": "COMPLETED"}') FROM jsonb_array_elements(batch) AS c)`,
        `(SELECT jsonb_agg(jsonb_build_object(
        'status', 'COMPLETED', 'id', j.id, 'retry_count', j.retry_count, 'data', j.data))
      FROM jsonb_array_elements(batch) AS c JOIN order_jobs AS j ON j.id::text = c ->> 'id')`,
      ),
    ],
    detector: detectedBy('fences', `complete_orders ${RIGHT_CLAIM}`),
  },
  {
    name: 'take_orders has an effect without the claim',
    edits: [
      inFunction(
        'take_orders',
        'settle_orders',
        `    WHERE holds_claim(j.state, j.retry_count, j.data, c.retry_count, c.data)
  );`,
        `  );`,
      ),
    ],
    detector: detectedBy(
      'fences',
      'take_orders takes nothing for an attempt that has lost its claim',
    ),
  },
  {
    name: 'fail_orders has an effect without the claim',
    edits: [
      inFunction(
        'fail_orders',
        'settle_orders',
        `j.state::text = 'active' AND j.retry_count = c.retry_count
    AND`,
        `j.state::text = 'active' AND`,
      ),
    ],
    detector: detectedBy('fences', `fail_orders ${RIGHT_CLAIM}`),
  },
  {
    name: 'no door asks whether the attempt still holds its job',
    edits: [
      inFunction(
        'holds_claim',
        'settle_orders',
        `SELECT state::text = 'active' AND retry_count = claimed_retry_count AND job_data = claimed_data`,
        'SELECT true',
      ),
    ],
    detector: detectedBy('fences', `settle_orders ${RIGHT_CLAIM}`),
  },
  {
    name: 'the claim does not name who made the job',
    edits: [inFunction('holds_claim', 'settle_orders', ' AND job_data = claimed_data', '')],
    detector: detectedBy(
      'fences',
      'a job that was made again is not mistaken for the one that was claimed',
    ),
  },
  {
    name: 'claimed jobs are settled by a second transaction',
    edits: [
      noFence,
      inFunction('settle_orders', 'settle_orders', 'AND j.id = ANY (ended)', 'AND false'),
      {
        file: 'src/orders/processing.ts',
        from: 'return outcomesFor(some, order_ids);',
        to: 'return some.map(nothingToDo); // pg-boss completes them',
      },
    ],
    detector: detectedBy(
      'processing',
      'a claimed order and its job end together, even if the worker dies after it',
    ),
  },
  {
    name: 'process_orders completes an order without settling its job',
    edits: [
      inFunction(
        'process_orders',
        'process_orders',
        PROCESS_JOBS,
        PROCESS_JOBS.replace(';', ' AND false;'),
      ),
    ],
    detector: together,
  },
  {
    name: 'process_orders settles a job without completing its order',
    edits: [
      inFunction(
        'process_orders',
        'process_orders',
        '  WHERE o.id = due.id;',
        '  WHERE o.id = due.id AND false;',
      ),
    ],
    detector: together,
  },
  {
    name: 'process_orders waits for locked jobs',
    edits: [
      inFunction(
        'process_orders',
        'process_orders',
        'FOR UPDATE OF j SKIP LOCKED',
        'FOR UPDATE OF j',
      ),
    ],
    detector: detectedBy('processing', 'process_orders passes over what is locked in pgboss.job'),
  },
  {
    name: 'process_orders waits for locked orders',
    edits: [
      inFunction(
        'process_orders',
        'process_orders',
        'FOR NO KEY UPDATE OF o SKIP LOCKED',
        'FOR NO KEY UPDATE OF o',
      ),
    ],
    detector: detectedBy('processing', 'process_orders passes over what is locked in orders'),
  },
  {
    name: 'process_orders does not lock',
    edits: [
      inFunction(
        'process_orders',
        'process_orders',
        `    FOR UPDATE OF j SKIP LOCKED
    FOR NO KEY UPDATE OF o SKIP LOCKED
`,
        '',
      ),
    ],
    detector: detectedBy('processing', 'what one worker is processing no other one gets'),
  },
  {
    name: 'workers look for jobs only when Redis says so',
    edits: [
      {
        file: 'src/queue/watcher.ts',
        from: 'if (due_ms !== null && !paused) consumers.wake(queue, due_ms);',
        to: '',
      },
    ],
    detector: detectedBy('workers', 'an order is processed although Redis tells no worker of it'),
  },
  {
    name: 'no worker looks for jobs of dead workers',
    edits: [
      { file: 'src/queue/boss.ts', from: '    supervise,\n', to: '    supervise: false,\n' },
      { file: 'src/queue/watcher.ts', from: '.supervise(queue)', to: '.getQueue(queue)' },
    ],
    detector: detectedBy('workers', 'the job of a worker that has died is taken over'),
  },
  {
    name: 'the external step gets another key at each call',
    edits: [
      {
        file: 'src/orders/fulfilment-request.ts',
        from: `'idempotency-key': order.id,`,
        to: `'idempotency-key': crypto.randomUUID(),`,
      },
    ],
    detector: detectedBy(
      'workers',
      'the external step is called with the id of the order as Idempotency-Key',
    ),
  },
];
