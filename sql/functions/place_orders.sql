-- Places orders. One call is one transaction. It leaves out the orders of the batch whose Idempotency-Key was used
-- before or is in use, and stores all others: each with its job, its first event (by trigger), and its reply if its
-- request has a key.
--
-- One order that cannot be stored fails the whole call; the caller then tries each half. An order that is left out does
-- not fail the call: the result says why it was left out, and has the stored reply if the request is a repeat.
-- (SQLSTATE OM010: another session stored the key of an order without the lock of the key. The call is rolled back.)

-- Places a batch. `batch`: an array of {id, user_id, product_name, amount, currency, metadata}, and for an order whose
-- request has a key also {path, key, fingerprint} (fingerprint in hex). `key_ttl_hours`: how long keys are kept; NULL
-- when no order of the batch has a key. The call waits for a lock for at most `lock_timeout_ms`; NULL keeps the setting
-- of the session. `placed_by`: the actor that the trail records, 'role:<login role of the caller>'; NULL for the user
-- of each order.
--
-- Returns one row. `placed` orders were stored at `created_at`. `keyed` has an entry for each order with a key:
-- {id, outcome, status, headers, body, order_id}, where outcome is
--   placed    stored by this call, with this reply
--   replayed  its key was used before for the same body: this is the reply to that request, and nothing is stored
--   reused    its key was used before for another body: nothing is stored
--   in-use    another request with its key is in progress: nothing is stored
CREATE OR REPLACE FUNCTION place_orders(
  batch jsonb, lock_timeout_ms integer, key_ttl_hours integer, placed_by text DEFAULT NULL
) RETURNS TABLE (placed integer, created_at text, keyed json) LANGUAGE plpgsql
SECURITY DEFINER SET search_path = public, pg_temp
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_sort = off AS $$
DECLARE
  known   jsonb;  -- what became of the requests that place nothing: replayed, reused or in-use
  locked  uuid[]; -- the orders whose key this call has locked
  ignored text;   -- the target of an assignment, which is cheaper than PERFORM
BEGIN
  -- Check the arguments.
  IF placed_by <> 'role:' || session_user THEN
    RAISE EXCEPTION 'role % cannot place orders as %', session_user, placed_by USING ERRCODE = 'OM008';
  END IF;
  IF key_ttl_hours NOT BETWEEN 1 AND 8760 THEN
    RAISE EXCEPTION 'a key is kept for 1 to 8760 hours, not %', key_ttl_hours USING ERRCODE = 'OM008';
  END IF;
  IF lock_timeout_ms IS NOT NULL THEN
    ignored := set_config('lock_timeout', lock_timeout_ms::text, true);
  END IF;

  -- Check the keys: find the requests that place nothing, and leave them out of the batch.
  IF key_ttl_hours IS NOT NULL THEN
    -- Lock each key until COMMIT. Of two requests with the same key in the batch, the first gets the lock. This is a
    -- statement of its own, so the next one sees every reply that was committed before the key was locked.
    locked := ARRAY(
      SELECT f.id
      FROM (
        SELECT DISTINCT ON (r.user_id, r.path, r.key) r.id, r.user_id, r.path, r.key
        FROM ROWS FROM (
          jsonb_to_recordset(batch) AS (id uuid, user_id uuid, path text, key text)
        ) WITH ORDINALITY AS r(id, user_id, path, key, place)
        WHERE r.key IS NOT NULL
        ORDER BY r.user_id, r.path, r.key, r.place
      ) AS f
      WHERE pg_try_advisory_xact_lock(idempotency_lock(f.user_id, 'POST', f.path, f.key))
    );
    known := (
      SELECT jsonb_agg(jsonb_build_object(
        'id', r.id,
        'outcome', CASE
          WHEN k.fingerprint IS NULL THEN 'in-use'
          WHEN k.fingerprint IS DISTINCT FROM decode(r.fingerprint, 'hex') THEN 'reused'
          ELSE 'replayed'
        END,
        'status', k.status, 'headers', k.headers, 'body', k.body::text, 'order_id', k.order_id
      ))
      FROM jsonb_to_recordset(batch) AS r(id uuid, user_id uuid, path text, key text, fingerprint text)
      LEFT JOIN LATERAL ( -- one index lookup per request, independent of the planner's statistics
        SELECT s.fingerprint, s.status, s.headers, s.body, s.order_id
        FROM idempotency_keys AS s
        WHERE s.user_id = r.user_id AND s.method = 'POST' AND s.path = r.path AND s.key = r.key
          AND s.expires_at > now()
        LIMIT 1
      ) AS k ON true
      WHERE r.key IS NOT NULL AND (k.fingerprint IS NOT NULL OR r.id <> ALL (locked))
    );
    IF known IS NOT NULL THEN
      batch := (
        SELECT coalesce(jsonb_agg(o), '[]') FROM jsonb_array_elements(batch) AS o
        WHERE NOT EXISTS (
          SELECT FROM jsonb_array_elements(known) AS k WHERE (k ->> 'id')::uuid = (o ->> 'id')::uuid
        )
      );
    END IF;
  END IF;

  -- Store the jobs and the orders.
  placed := jsonb_array_length(batch);
  IF placed > 0 THEN
    -- Jobs first: the check after the INSERT of orders (orders_check_placed) needs them. The listed columns get the
    -- values that pg-boss 12.38 itself inserts, all others their defaults.
    INSERT INTO order_jobs (
      id, name, data, start_after, created_on, expire_seconds, deletion_seconds, keep_until, retry_limit, retry_delay,
      retry_backoff, retry_delay_max, policy, dead_letter, heartbeat_seconds
    )
    SELECT o.id, q.name, jsonb_build_object('order_id', o.id, 'xact_id', pg_current_xact_id()::text), now(), now(),
      q.expire_seconds, q.deletion_seconds, now() + q.retention_seconds * interval '1 second', q.retry_limit,
      q.retry_delay, q.retry_backoff, q.retry_delay_max, q.policy, q.dead_letter, q.heartbeat_seconds
    FROM pgboss.queue AS q, jsonb_to_recordset(batch) AS o(id uuid)
    WHERE q.name = 'process-order';

    -- The columns that are not listed get their defaults: PENDING, version 1, this transaction, now. The INSERT fires
    -- these triggers, each once for all rows, in this order:
    --   orders_03_require_durable_commit (durable_commits.sql): raises synchronous_commit if it is too low.
    --   orders_20_record_placement (orders_trail.sql): writes event 1 of each order, with its actor and its hash. The
    --     hash covers the content of the order, so the content cannot change unnoticed.
    --   orders_25_check_placed (orders_handoff.sql): refuses an order that is not new (OM001), whose amount does not
    --     fit its currency (orders_amount_ck), or that has no job which is due and was made by this transaction
    --     (OM003).
    -- Nothing is left to check at COMMIT: orders_50_require_job is for other writers.
    --
    -- An amount gets the decimals of its currency: 34.9 USD is stored as 34.90. orders_check_placed refuses an amount
    -- with more decimals.
    INSERT INTO orders (id, user_id, product_name, amount, currency, metadata, changed_by)
    SELECT o.id, o.user_id, o.product_name,
      CASE WHEN round(o.amount, c.decimals) = o.amount THEN round(o.amount, c.decimals) ELSE o.amount END,
      o.currency, o.metadata, placed_by
    FROM jsonb_to_recordset(batch) AS o(
      id uuid, user_id uuid, product_name text, amount numeric, currency text, metadata jsonb
    )
    LEFT JOIN currencies AS c ON c.code = o.currency;
    created_at := iso_8601(now());
  END IF;

  -- Store the replies to the requests that have a key.
  IF key_ttl_hours IS NOT NULL THEN
    WITH stored AS (
      INSERT INTO idempotency_keys AS k
        (user_id, method, path, key, fingerprint, status, headers, body, order_id, expires_at)
      SELECT r.user_id, 'POST', r.path, r.key, decode(r.fingerprint, 'hex'), 201,
        jsonb_build_object('Location', '/orders/' || o.id), order_json(o)::json, o.id,
        now() + make_interval(hours => key_ttl_hours)
      FROM jsonb_to_recordset(batch) AS r(
        id uuid, user_id uuid, path text, key text, fingerprint text
      )
      JOIN LATERAL (SELECT * FROM orders AS s WHERE s.id = r.id LIMIT 1) AS o ON true
      WHERE r.key IS NOT NULL
      ON CONFLICT ON CONSTRAINT idempotency_keys_pk DO UPDATE SET
        fingerprint = excluded.fingerprint, status = excluded.status, headers = excluded.headers,
        body = excluded.body, order_id = excluded.order_id, xact_id = excluded.xact_id,
        created_at = excluded.created_at, expires_at = excluded.expires_at
      WHERE k.expires_at <= now()
      RETURNING k.order_id, k.status, k.headers, k.body
    )
    SELECT json_agg(e.entry) INTO keyed
    FROM (
      SELECT json_build_object('id', s.order_id, 'outcome', 'placed', 'status', s.status, 'headers', s.headers,
        'body', s.body::text, 'order_id', s.order_id) AS entry
      FROM stored AS s
      UNION ALL
      SELECT k.entry::json FROM jsonb_array_elements(known) AS k(entry)
    ) AS e;
    -- When there are fewer entries than requests with a key, another session stored a key without locking it.
    IF coalesce(json_array_length(keyed), 0) < coalesce(jsonb_array_length(known), 0)
      + (SELECT count(*) FROM jsonb_to_recordset(batch) AS r(key text) WHERE r.key IS NOT NULL) THEN
      RAISE EXCEPTION 'an Idempotency-Key was stored by a session that does not hold its lock' USING ERRCODE = 'OM010';
    END IF;
  END IF;
  RETURN NEXT;
END $$;

-- Places an order from psql, with its job, like POST /orders. Returns its id. Records the login role as the actor.
--   SELECT place_order((SELECT id FROM users WHERE email = 'ada@example.com'), 'Kettle', 34.90);
CREATE OR REPLACE FUNCTION place_order(
  user_id uuid, product_name text, amount numeric, currency text DEFAULT 'USD', metadata jsonb DEFAULT '{}'
) RETURNS uuid LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
  order_id uuid := uuid_v7();
BEGIN
  PERFORM FROM place_orders(
    jsonb_build_array(jsonb_build_object(
      'id', order_id, 'user_id', user_id, 'product_name', product_name, 'amount', amount::text,
      'currency', currency, 'metadata', metadata
    )),
    NULL, NULL, 'role:' || session_user
  );
  RETURN order_id;
END $$;

COMMENT ON FUNCTION place_orders IS 'Places a batch of orders with their jobs and replies, for the API: all or none.';
COMMENT ON FUNCTION place_order  IS 'Places an order together with its job. Returns its id.';

ALTER FUNCTION place_orders OWNER TO oms_placer;
ALTER FUNCTION place_order OWNER TO oms_placer;
