/* Mutations that break rights: roles must act only through doors, and must not replace objects that a door uses. */
import { detectedBy, inFunction, type Mutation } from './mutation.ts';

const GRANTS = 'sql/grants.sql';
const LAST = `INSERT INTO wanted VALUES
  ('oms_api', 'USAGE', 'SCHEMA public', 'its doors are there'),`;

const doors = detectedBy(
  'rights',
  'every door function has a pinned search_path and an owner that owns no table of schema public',
);

export const rightMutations: Mutation[] = [
  {
    name: 'oms_worker may change the table name of a queue',
    edits: [
      {
        file: GRANTS,
        from: `'TABLE pgboss.queue (deferred_count,`,
        to: `'TABLE pgboss.queue (table_name, deferred_count,`,
        object: 'pgboss.queue',
      },
    ],
    detector: detectedBy('rights', 'a worker cannot change the table name of a queue'),
  },
  {
    name: 'oms_api may insert orders',
    edits: [
      {
        file: GRANTS,
        from: LAST,
        to: `${LAST}
  ('oms_api', 'INSERT', 'TABLE public.orders', 'a mutation'),`,
        object: 'orders',
      },
    ],
    detector: detectedBy('rights', 'the API cannot insert orders'),
  },
  {
    name: 'oms_worker may update orders',
    edits: [
      {
        file: GRANTS,
        from: LAST,
        to: `${LAST}
  ('oms_worker', 'UPDATE', 'TABLE public.orders', 'a mutation'),`,
        object: 'orders',
      },
    ],
    detector: detectedBy('rights', 'a worker cannot update the table orders'),
  },
  {
    name: 'oms_api may call process_orders',
    edits: [
      {
        file: GRANTS,
        from: LAST,
        to: `${LAST}
  ('oms_api', 'EXECUTE', 'FUNCTION public.process_orders', 'a mutation'),`,
        object: 'process_orders',
      },
    ],
    detector: detectedBy('rights', 'the API cannot call a door function of the worker'),
  },
  {
    name: 'a door function has no pinned search_path',
    edits: [
      inFunction(
        'process_orders',
        'process_orders',
        'SECURITY DEFINER SET search_path = public, pg_temp\n',
        'SECURITY DEFINER\n',
      ),
    ],
    detector: doors,
  },
  {
    name: 'a door function is owned by oms_owner',
    edits: [
      inFunction(
        'settle_orders',
        'settle_orders',
        'ALTER FUNCTION settle_orders OWNER TO oms_door;',
        'ALTER FUNCTION settle_orders OWNER TO oms_owner;',
      ),
    ],
    detector: doors,
  },
];
