/* Mutations that break the guards on jobs: the login of a worker must neither remove nor insert jobs of orders. */
import { detectedBy, inFunction, type Mutation } from './mutation.ts';

export const jobMutations: Mutation[] = [
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
    name: 'the check of the last job does not lock the jobs that it finds',
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
      'two transactions at once cannot delete both the job and the dead letter of an order',
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
    detector: detectedBy('jobs', 'a DELETE of the waiting job of an open order deletes nothing'),
  },
  {
    name: 'a worker may insert any job',
    edits: [
      inFunction(
        'worker_guard_insert',
        'worker_guard',
        'IF fits IS NOT TRUE THEN',
        'IF false THEN',
      ),
    ],
    detector: detectedBy('jobs', 'a worker cannot insert a job of an order'),
  },
  {
    name: 'a worker may give its job a heartbeat in the future',
    edits: [
      inFunction(
        'worker_guard_update',
        'worker_guard',
        `CASE WHEN NEW.heartbeat_on IS DISTINCT FROM OLD.heartbeat_on THEN NEW.heartbeat_on END,`,
        '',
      ),
    ],
    detector: detectedBy('jobs', 'a worker cannot give its job a heartbeat in the future'),
  },
];
