/* The jobs of orders: a worker's login can take none away, and makes none that no worker takes. */
import { detectedBy, inFunction, type Mutation } from './mutation.ts';

export const kept: Mutation[] = [
  {
    name: 'an open order may lose its last job',
    edits: [
      inFunction(
        'order_jobs_require',
        'order_jobs_guard',
        'IF jobs + letters = 0 THEN',
        'IF false THEN',
      ),
    ],
    detector: detectedBy('jobs', 'a worker cannot delete the last job of an open order'),
  },
  {
    name: 'the check of the last job does not lock what it finds',
    edits: [
      inFunction(
        'order_jobs_require',
        'order_jobs_guard',
        `d.retry_count >= d.retry_limit)
  FOR SHARE;`,
        'd.retry_count >= d.retry_limit);',
      ),
      inFunction(
        'order_jobs_require',
        'order_jobs_guard',
        `AND NOT j.blocked
  FOR SHARE;`,
        'AND NOT j.blocked;',
      ),
    ],
    detector: detectedBy(
      'jobs',
      'of a job and a dead letter, two transactions at once cannot take both',
    ),
  },
  {
    name: 'a waiting job may be deleted',
    edits: [
      inFunction(
        'order_jobs_keep',
        'order_jobs_guard',
        '    RETURN NULL;\n  END IF;\n  RETURN OLD;',
        '  END IF;\n  RETURN OLD;',
      ),
    ],
    detector: detectedBy('jobs', 'a waiting job of an open order stays when it is deleted'),
  },
  {
    name: 'a worker may make any job',
    edits: [
      inFunction(
        'worker_guard_insert',
        'worker_guard',
        'IF fits IS NOT TRUE THEN',
        'IF false THEN',
      ),
    ],
    detector: detectedBy('jobs', 'a worker cannot make a job of an order'),
  },
  {
    name: 'a worker may claim a job for ever',
    edits: [
      inFunction(
        'worker_guard_update',
        'worker_guard',
        `  IF greatest(NEW.started_on, NEW.heartbeat_on, NEW.completed_on) > now() + interval '1 minute'
    OR`,
        '  IF',
      ),
    ],
    detector: detectedBy('jobs', 'a worker cannot claim a job for ever'),
  },
];
