/* Mutations that break placing: one transaction must store an order, its job and its reply. */
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

/** A second call after the commit inserts the jobs. place_orders recognises that call by its missing lock timeout. */
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
  'an order has its job from the same transaction, even if the API crashes after the commit',
);
const reply = detectedBy(
  'placing',
  'a stored reply comes from the transaction that placed its order, even if the API crashes after the commit',
);
const replay = detectedBy(
  'placing',
  'a request with a used key gets the first reply, and places no order',
);

export const placingMutations: Mutation[] = [
  {
    name: 'the job is inserted after the commit',
    edits: jobsLater,
    detector: job,
  },
  {
    name: 'the job is inserted after the commit, and the database does not check the batch',
    edits: [...jobsLater, noCheckOfBatches],
    detector: job,
  },
  {
    name: 'the database does not check that each order of a batch has a job',
    edits: [noCheckOfBatches],
    detector: detectedBy(
      'placing',
      'the owner of place_orders cannot insert an order that has no job',
    ),
  },
  {
    name: 'the database does not check at commit that an order has a job',
    edits: [noCheckAtCommit],
    detector: detectedBy('placing', 'COMMIT refuses an order that has no job'),
  },
  {
    name: 'place_orders stores a job without its order',
    edits: [
      inFunction(
        'place_orders',
        'place_orders',
        'LEFT JOIN currencies AS c ON c.code = o.currency;',
        'LEFT JOIN currencies AS c ON c.code = o.currency LIMIT 1;',
      ),
    ],
    detector: detectedBy('placing', 'a batch stores one job for each order, with the same id'),
  },
  {
    name: 'the database does not check that an amount fits its currency',
    edits: [
      inFunction('orders_check_placed', 'orders_handoff', 'AND scale(n.amount) = c.decimals', ''),
    ],
    detector: detectedBy('placing', 'place_orders refuses an amount that its currency cannot have'),
  },
  {
    name: 'place_orders stores an order without its job',
    edits: [
      noCheckOfBatches,
      inFunction('place_orders', 'place_orders', FROM_BATCH, FROM_BATCH.replace(';', ' LIMIT 1;')),
    ],
    detector: detectedBy('placing', 'a batch stores one job for each order, with the same id'),
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
    name: 'place_orders stores a reply that describes another order',
    edits: [
      inFunction(
        'place_orders',
        'place_orders',
        'FROM orders AS s WHERE s.id = r.id LIMIT 1',
        'FROM orders AS s WHERE s.user_id = r.user_id ORDER BY s.id LIMIT 1',
      ),
    ],
    detector: detectedBy('placing', 'a stored reply describes the order that was placed with it'),
  },
  {
    name: 'keys are not looked up',
    edits: [noLookUp],
    detector: replay,
  },
  {
    name: 'keys are not looked up: a run of chaos',
    edits: [noLookUp],
    // A retry of a request that had its effect fails each time, because its key exists.
    detector: { chaos: 'without a final reply', seed: 168, seconds: 5 },
  },
];
