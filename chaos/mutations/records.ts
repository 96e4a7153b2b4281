/* Mutations that break the lifecycle, the trail, the rule against deleting orders, and the back-off of dead letters. */
import { detectedBy, inFunction, type Mutation } from './mutation.ts';

const trail = detectedBy(
  'trail',
  'each step of an order leaves an event that is chained to the event before',
);

export const recordMutations: Mutation[] = [
  {
    name: 'the lifecycle is not guarded',
    edits: [
      inFunction(
        'orders_record_change',
        'orders_trail',
        'WHERE t.from_status = n.changed_from AND t.to_status = n.status',
        'WHERE true',
      ),
    ],
    detector: detectedBy('trail', 'an order cannot go from PROCESSING to CANCELLED'),
  },
  {
    name: 'changes leave no event',
    edits: [
      inFunction(
        'orders_record_change',
        'orders_trail',
        '      WHERE changed_from IS NOT NULL\n    ) AS n',
        '      WHERE changed_from IS NOT NULL AND false\n    ) AS n',
      ),
    ],
    detector: trail,
  },
  {
    name: 'an event is not chained to the event before',
    edits: [
      inFunction(
        'orders_record_change',
        'orders_trail',
        `order_event_hash_v1(coalesce(c.previous, ''),`,
        `order_event_hash_v1('',`,
      ),
    ],
    detector: trail,
  },
  {
    name: 'the second step of a change is not chained to its first',
    edits: [
      inFunction(
        'orders_record_change',
        'orders_trail',
        'order_event_hash_v1(c.previous, c.id',
        `order_event_hash_v1('', c.id`,
      ),
    ],
    detector: trail,
  },
  {
    name: 'every writer may name the actor that changes an order',
    edits: [
      inFunction(
        'orders_guard_update',
        'orders_guard',
        `IF current_user <> 'oms_door' THEN`,
        'IF false THEN',
      ),
    ],
    detector: detectedBy(
      'trail',
      'a person who changes an order by hand cannot name another actor',
    ),
  },
  {
    name: 'every writer may name the actor that places an order',
    edits: [
      inFunction(
        'orders_guard_insert',
        'orders_guard',
        `  NEW.changed_by := 'role:' || session_user;
  NEW.change_reason := NULL;
  NEW.version := 1;`,
        '  NEW.version := 1;',
      ),
    ],
    detector: detectedBy(
      'trail',
      'a person who inserts an order by hand cannot name another actor',
    ),
  },
  {
    name: 'orders can be deleted',
    edits: [
      inFunction(
        'orders_refuse_delete',
        'refuse_change',
        `  RAISE EXCEPTION 'orders are never deleted: % refused', TG_OP
    USING ERRCODE = 'OM002', HINT = 'ops.cancel_order cancels an order.';`,
        '  RETURN NULL;',
      ),
    ],
    detector: detectedBy('trail', 'an order cannot be deleted'),
  },
  {
    name: 'dead letters back off without a maximum',
    edits: [
      inFunction(
        'job_common_10_bound_dead_letter',
        'dead_letters',
        'WHEN (NEW.source_name IS NOT NULL AND NEW.retry_delay_max IS NULL)',
        'WHEN (false)',
      ),
    ],
    detector: detectedBy(
      'trail',
      'the back-off of a dead letter is at most the maximum of its queue',
    ),
  },
];
