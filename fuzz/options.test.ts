import test from 'ava';
import { parseOptions } from './options.ts';

test('the seed, the requests and the streams of a run have defaults', (t) => {
  t.deepEqual(parseOptions([], 7), { seed: 7, requests: 20_000, streams: 2000 });
  t.deepEqual(parseOptions(['--seed', '3', '--requests', '5', '--streams', '0']), {
    seed: 3,
    requests: 5,
    streams: 0,
  });
});

test('a wrong option ends in one line that shows the usage', (t) => {
  for (const args of [['--seed', 'x'], ['--requests', '-1'], ['--more', '1'], ['5']]) {
    t.throws(
      () => parseOptions(args),
      { message: /^.+Usage: npm run fuzz -- .+$/ },
      args.join(' '),
    );
  }
});
