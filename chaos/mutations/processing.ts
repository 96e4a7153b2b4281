/* Mutations that break processing: an order and its job must end together and once, by the attempt with the claim. */
import { detectedBy, inFunction, type Mutation } from './mutation.ts';

const PROCESS_JOBS = 'WHERE j.row_id = due.row_id;';
const NO_EFFECT = 'has no effect for an attempt that lost its claim';

const together = detectedBy('processing', 'process_orders completes an order and settles its job');

const noFence = inFunction(
  'settle_orders',
  'settle_orders',
  'IF settled <> cardinality(ended) THEN',
  'IF false THEN',
);

export const processingMutations: Mutation[] = [
  {
    name: 'settle_orders does not check the claim',
    edits: [noFence],
    detector: detectedBy('fences', `settle_orders ${NO_EFFECT}`),
  },
  {
    name: 'complete_orders does not check the claim',
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
    detector: detectedBy('fences', `complete_orders ${NO_EFFECT}`),
  },
  {
    name: 'take_orders does not check the claim',
    edits: [
      inFunction(
        'take_orders',
        'settle_orders',
        `    WHERE holds_claim(j.state, j.retry_count, j.data, c.retry_count, c.data)
  );`,
        `  );`,
      ),
    ],
    detector: detectedBy('fences', 'take_orders takes no order for an attempt that lost its claim'),
  },
  {
    name: 'fail_orders does not check the claim',
    edits: [
      inFunction(
        'fail_orders',
        'settle_orders',
        `j.state::text = 'active' AND j.retry_count = c.retry_count
    AND`,
        `j.state::text = 'active' AND`,
      ),
    ],
    detector: detectedBy('fences', `fail_orders ${NO_EFFECT}`),
  },
  {
    name: 'holds_claim is always true',
    edits: [
      inFunction(
        'holds_claim',
        'settle_orders',
        `SELECT state::text = 'active' AND retry_count = claimed_retry_count AND job_data = claimed_data`,
        'SELECT true',
      ),
    ],
    detector: detectedBy('fences', `settle_orders ${NO_EFFECT}`),
  },
  {
    name: 'holds_claim does not compare the data of the job',
    edits: [inFunction('holds_claim', 'settle_orders', ' AND job_data = claimed_data', '')],
    detector: detectedBy(
      'fences',
      'a claim of a deleted job does not hold for a new job of the same order',
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
      'a claimed order and its job end together, even if the worker crashes after the commit',
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
    detector: detectedBy('processing', 'process_orders skips locked rows of pgboss.job'),
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
    detector: detectedBy('processing', 'process_orders skips locked rows of orders'),
  },
  {
    name: 'process_orders takes no locks',
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
    detector: detectedBy(
      'processing',
      'an order that one worker is processing is not processed by another one',
    ),
  },
  {
    name: 'workers check for jobs only after a wake-up',
    edits: [
      {
        file: 'src/queue/watcher.ts',
        from: 'if (due_ms !== null && !paused) consumers.wake(queue, due_ms);',
        to: '',
      },
    ],
    detector: detectedBy('workers', 'an order is processed even if no wake-up is published'),
  },
  {
    name: 'no worker checks for jobs of dead workers',
    edits: [
      { file: 'src/queue/boss.ts', from: '    supervise,\n', to: '    supervise: false,\n' },
      { file: 'src/queue/supervision.ts', from: '.supervise(queue)', to: '.getQueue(queue)' },
    ],
    detector: detectedBy('workers', 'another worker takes over the job of a dead worker'),
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
      'a call of the external step has the id of the order as its Idempotency-Key',
    ),
  },
];
