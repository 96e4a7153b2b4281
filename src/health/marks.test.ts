import { LoneConnection } from '../db/lone-connection.ts';
import { test } from '../../test/support/context.ts';
import { Marks } from './marks.ts';

test('each mark finds the mark before it, so nothing counts as lost', async (t) => {
  const connection = new LoneConnection(t.context.deps.config, 'marks-test');
  t.teardown(() => connection.drop());
  const marks = new Marks(connection);
  for (let mark = 1; mark <= 3; mark += 1) t.deepEqual(await marks.leave(), { lost: null });
});
