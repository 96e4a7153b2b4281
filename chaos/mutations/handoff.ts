/* Placing and cancelling: order, job and reply are one transaction. */
import { detectedBy, inFunction, type Edit, type Mutation } from './mutation.ts';

const PLACEMENT = 'src/orders/placement.ts';

const INSERT_JOBS = `    INSERT INTO order_jobs (
      id, name, data, start_after, created_on, expire_seconds, deletion_seconds, keep_until, retry_limit, retry_delay,
      retry_backoff, retry_delay_max, policy, dead_letter, heartbeat_seconds
    )
    SELECT o.id, q.name,`;

const FROM_BATCH = `    FROM pgboss.queue AS q, jsonb_to_recordset(batch) AS o(id uuid)
    WHERE q.name = 'process-order';
`;

/** Makes jobs only in calls without a lock timeout, and has the API send such a call after its own. */
const jobsLater: Edit[] = [
  inFunction(
    'place_orders',
    'place_orders',
    INSERT_JOBS,
    `  IF lock_timeout_ms IS NULL THEN\n${INSERT_JOBS}`,
  ),
  inFunction('place_orders', 'place_orders', FROM_BATCH, `${FROM_BATCH}    RETURN;\n  END IF;\n`),
  {
    file: PLACEMENT,
    from: `  crashPoint('after-commit');\n`,
    to: `  crashPoint('after-commit');
  await pool.query(
    sql.unsafe\`SELECT FROM place_orders(\${batchJson(placements)}::jsonb, NULL, NULL)\`,
  );
`,
  },
];

const noCheckOfBatches = inFunction(
  'orders_25_check_placed',
  'orders_handoff',
  `FOR EACH STATEMENT EXECUTE FUNCTION orders_check_placed`,
  `FOR EACH STATEMENT WHEN (false) EXECUTE FUNCTION orders_check_placed`,
);

const noCheckAtCommit = inFunction(
  'orders_50_require_job',
  'orders_handoff',
  `WHEN (NEW.status = 'PENDING' AND current_user::text <> 'oms_placer')`,
  'WHEN (false)',
);

const noLookUp = inFunction(
  'place_orders',
  'place_orders',
  'AND s.expires_at > now()',
  'AND s.expires_at > now() AND false',
);

const job = detectedBy(
  'placing',
  'an order has its job from its own transaction, even if the API dies after it',
);
const reply = detectedBy(
  'placing',
  'a reply is stored by the transaction that has placed its order',
);
const replay = detectedBy(
  'placing',
  'a request under a key that was used gets the first reply, and places nothing',
);

export const handedOff: Mutation[] = [
  {
    name: 'the job is made after the commit; the database refuses it',
    edits: jobsLater,
    detector: job,
  },
  {
    name: 'the job is made after the commit, and the database lets it',
    edits: [...jobsLater, noCheckOfBatches],
    detector: job,
  },
  {
    name: 'the database does not ask for the jobs of a batch',
    edits: [noCheckOfBatches],
    detector: detectedBy(
      'placing',
      'also the owner of place_orders is refused an order that has no job',
    ),
  },
  {
    name: 'the database does not ask for the job at commit',
    edits: [noCheckAtCommit],
    detector: detectedBy('placing', 'COMMIT refuses an order that has no job'),
  },
  {
    name: 'place_orders stores a job without its order',
    edits: [
      inFunction(
        'place_orders',
        'place_orders',
        `      id uuid, user_id uuid, product_name text, amount numeric, currency text, metadata jsonb
    );`,
        `      id uuid, user_id uuid, product_name text, amount numeric, currency text, metadata jsonb
    ) LIMIT 1;`,
      ),
    ],
    detector: detectedBy(
      'placing',
      'a batch stores as many orders as jobs, each with the id of the other',
    ),
  },
  {
    name: 'place_orders stores an order without its job',
    edits: [
      noCheckOfBatches,
      inFunction('place_orders', 'place_orders', FROM_BATCH, FROM_BATCH.replace(';', ' LIMIT 1;')),
    ],
    detector: detectedBy(
      'placing',
      'a batch stores as many orders as jobs, each with the id of the other',
    ),
  },
  {
    name: 'the reply is stored by a second transaction',
    edits: [
      inFunction(
        'place_orders',
        'place_orders',
        `      WHERE r.key IS NOT NULL
      ON CONFLICT`,
        `      WHERE r.key IS NOT NULL AND o.xact_id <> pg_current_xact_id()
      ON CONFLICT`,
      ),
      inFunction(
        'place_orders',
        'place_orders',
        `  IF placed > 0 THEN`,
        `  IF placed > 0 AND lock_timeout_ms > 0 THEN`,
      ),
      {
        file: PLACEMENT,
        from: `  crashPoint('after-commit');\n`,
        to: `  crashPoint('after-commit');
  await pool.query(
    sql.unsafe\`SELECT FROM place_orders(\${batchJson(placements)}::jsonb, 0, \${config.IDEMPOTENCY_KEY_TTL_HOURS})\`,
  );
`,
      },
    ],
    detector: reply,
  },
  {
    name: 'place_orders stores a reply for another order than it has placed',
    edits: [
      inFunction(
        'place_orders',
        'place_orders',
        'FROM orders AS s WHERE s.id = r.id LIMIT 1',
        'FROM orders AS s WHERE s.user_id = r.user_id ORDER BY s.id LIMIT 1',
      ),
    ],
    detector: detectedBy('placing', 'a stored reply is that of the order that was placed with it'),
  },
  {
    name: 'keys are not looked up',
    edits: [noLookUp],
    detector: replay,
  },
  {
    name: 'keys are not looked up: chaos',
    edits: [noLookUp],
    detector: { chaos: 'never answered', seed: 168, seconds: 5 }, // place_orders refuses a key that it has not found,
  },
  {
    name: 'a cancellation takes no lock',
    edits: [
      inFunction(
        'cancel_order',
        'cancel_order',
        `
  FOR NO KEY UPDATE;`,
        ';',
      ),
    ],
    detector: detectedBy(
      'cancelling',
      'an order that is being taken at the same moment cannot be cancelled',
    ),
  },
  {
    name: 'a cancellation does not look at the status',
    edits: [
      inFunction(
        'cancel_order',
        'cancel_order',
        `wanted.status NOT IN ('PENDING', 'CANCELLED')`,
        `wanted.status = 'FAILED'`,
      ),
    ],
    detector: detectedBy('cancelling', 'an order that has ended cannot be cancelled'),
  },
  {
    name: 'cancel_order stores a reply without cancelling',
    edits: [
      inFunction(
        'cancel_order',
        'cancel_order',
        `    WHERE o.id = wanted.id
    RETURNING o.* INTO wanted;`,
        `    WHERE o.id = wanted.id AND false;
    wanted.status := 'CANCELLED';`,
      ),
    ],
    detector: detectedBy(
      'cancelling',
      'an order whose cancellation is answered with 200 is cancelled',
    ),
  },
  {
    name: 'a cancellation leaves the job alone',
    edits: [
      inFunction(
        'orders_cancel_job',
        'orders_handoff',
        `WHERE j.id = NEW.id AND j.state < 'completed';`,
        `WHERE j.id = NEW.id AND j.state < 'completed' AND false;`,
      ),
    ],
    detector: detectedBy('cancelling', 'a cancelled order has no job that a worker could take'),
  },
];
