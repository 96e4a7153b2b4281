/*
 * Ways to break the promise, and what has to notice. A mutation replaces text that must be there exactly
 * once; when the code has moved on, the mutation is to follow.
 */

/** One replacement. */
export type Edit = { file: string; from: string; to: string };

/** A command, and what it prints when it notices. */
export type Detector = { args: string[]; sign: RegExp };

export type Mutation = { name: string; edits: Edit[]; detector: Detector };

const ORDERS = 'src/orders/orders.ts';
const PROCESSING = 'src/orders/processing.ts';
const HANDOFF = 'sql/migrations/0003_handoff.sql';
const CHANGES = 'sql/migrations/0007_fast_changes.sql';

/**
 * An API crashes right after a commit, Postgres crashes, connections are cut, an API is killed, customers
 * lose their connections; and last a worker crashes with jobs in hand, so that they are rescued when no
 * order comes any more that would wake somebody.
 */
const RUN = ['chaos/main.ts', '--seed', '148433', '--seconds', '15'];

/** The chaos harness notices: a count that must be 0 is not. */
function chaos(count: string): Detector {
  return { args: RUN, sign: new RegExp(`^${count} +[1-9].*$`, 'm') };
}

/** The audit at the end of a chaos run notices, by this invariant. */
function audit(invariant: string): Detector {
  return { args: RUN, sign: new RegExp(`^violations: .*"invariant":"${invariant}".*$`, 'm') };
}

/** A test notices. */
function tests(file: string, title: string): Detector {
  const escaped = title.replaceAll(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`);
  const args = ['src/testing/run.ts', file];
  return { args, sign: new RegExp(`^not ok \\d+ - .*${escaped}.*$`, 'm') };
}

const enqueueLater: Edit[] = [
  {
    file: ORDERS,
    from: `    if (jobs.length > 0) await enqueue(deps.boss, tx, 'process-order', jobs);\n`,
    to: '',
  },
  {
    file: ORDERS,
    from: 'return { outcomes: answers, placed: fresh };',
    to: 'return { outcomes: answers, placed: fresh, jobs };',
  },
  {
    file: ORDERS,
    from: 'const { outcomes, placed } = await',
    to: 'const { outcomes, placed, jobs } = await',
  },
  {
    file: ORDERS,
    from: `  crashPoint('after-commit');\n`,
    to: `  crashPoint('after-commit');
  if (jobs.length > 0)
    await deps.pool.transaction((tx) => enqueue(deps.boss, tx, 'process-order', jobs));
`,
  },
];

const noHandoffTrigger: Edit = {
  file: HANDOFF,
  from: `FOR EACH ROW WHEN (NEW.status = 'PENDING') EXECUTE FUNCTION orders_require_job();`,
  to: `FOR EACH ROW WHEN (false) EXECUTE FUNCTION orders_require_job();`,
};

export const mutations: Mutation[] = [
  {
    name: 'the job is enqueued after the commit; the database refuses it',
    edits: enqueueLater,
    detector: chaos('never answered'),
  },
  {
    name: 'the job is enqueued after the commit, and the database lets it',
    edits: [...enqueueLater, noHandoffTrigger],
    detector: chaos('stranded'),
  },
  {
    name: 'the database does not ask for the job at commit',
    edits: [noHandoffTrigger],
    detector: tests('src/orders/handoff-enforced.test.ts', 'inserted without its job is refused'),
  },
  {
    name: 'nobody asks whether the attempt still holds its job',
    edits: [
      { file: 'src/db/boss.ts', from: 'if (lost > 0) throw', to: 'if (lost > jobsOfAll) throw' },
      {
        file: 'src/db/boss.ts',
        from: '/** This worker no longer holds',
        to: 'const jobsOfAll = Infinity;\n\n/** This worker no longer holds',
      },
    ],
    detector: tests(
      'src/orders/processing.test.ts',
      'a worker that has lost its claim leaves no trace',
    ),
  },
  {
    name: 'the lifecycle is not guarded',
    edits: [
      {
        file: CHANGES,
        from: 'WHERE t.from_status = step.from_status AND t.to_status = step.to_status',
        to: 'WHERE true',
      },
    ],
    detector: tests('src/orders/lifecycle.test.ts', 'an order cannot go from COMPLETED to PENDING'),
  },
  {
    name: 'jobs are completed by a second transaction',
    edits: [
      {
        file: PROCESSING,
        from: `    crashPoint('after-effect');
    await completeJobs(tx, 'process-order', attemptsFor(jobs, orders));
    crashPoint('after-completion');
    return orders;
  });
`,
        to: `    return orders;
  });
  crashPoint('after-effect');
  await deps.pool.transaction((tx) => completeJobs(tx, 'process-order', attemptsFor(jobs, completed)));
`,
      },
    ],
    detector: audit('I4'),
  },
  {
    name: 'the reply is stored by a second transaction',
    edits: [
      {
        file: ORDERS,
        from: `    await storeReplies(deps, tx, requests, answers);
    return { outcomes: answers, placed: fresh };
  });
  crashPoint('after-commit');
`,
        to: `    return { outcomes: answers, placed: fresh };
  });
  crashPoint('after-commit');
  await deps.pool.transaction((tx) => storeReplies(deps, tx, requests, outcomes));
`,
      },
    ],
    detector: chaos('doubled'),
  },
  {
    name: 'keys are not looked up',
    edits: [
      { file: ORDERS, from: 'await claimKeys(tx, requests);', to: 'requests.map(() => null);' },
      { file: ORDERS, from: 'await storeReplies(deps, tx, requests, answers);', to: '' },
    ],
    detector: chaos('doubled'),
  },
  {
    name: 'workers look for jobs only when Redis says so',
    edits: [
      {
        file: 'src/lookout.ts',
        from: 'if (sight.due && !sight.paused) calls.wake(queue);',
        to: '',
      },
    ],
    detector: chaos('stranded'),
  },
  {
    name: 'nobody looks for jobs of dead workers',
    edits: [
      {
        file: 'src/db/boss.ts',
        from: `supervise: role === 'worker',`,
        to: 'supervise: false,',
      },
      {
        file: 'src/lookout.ts',
        from: 'await boss\n        .supervise(queue)',
        to: 'await Promise.resolve()',
      },
    ],
    detector: chaos('stranded'),
  },
  {
    name: 'a cancellation takes no lock, and does not look at the status',
    edits: [
      { file: ORDERS, from: ' AND user_id = ${userId} FOR UPDATE', to: ' AND user_id = ${userId}' },
      {
        file: ORDERS,
        from: `if (found.status !== 'PENDING') {`,
        to: `if (found.status === 'FAILED') {`,
      },
    ],
    detector: chaos('complaints'),
  },
  {
    name: 'a cancellation leaves the job alone',
    edits: [
      {
        file: HANDOFF,
        from: `    AND n.status = 'CANCELLED';`,
        to: `    AND n.status = 'CANCELLED' AND false;`,
      },
    ],
    detector: audit('I4'), // a worker completes the job of an order that has not ended by it
  },
  {
    name: 'changes leave no event',
    edits: [
      {
        file: CHANGES,
        from: '      WHERE n.status <> o.status\n',
        to: '      WHERE n.status <> o.status AND false\n',
      },
    ],
    detector: audit('I5'),
  },
  {
    name: 'an event is not chained to the one before',
    edits: [
      {
        file: CHANGES,
        from: `order_event_hash(coalesce(c.previous, ''),`,
        to: `order_event_hash('',`,
      },
    ],
    detector: audit('I7'),
  },
];
