import { PassThrough } from 'node:stream';
import test from 'ava';
import { pino } from 'pino';
import { Outage } from './outage.ts';

function outageWithLog() {
  const output = new PassThrough({ encoding: 'utf8' });
  const outage = new Outage(pino(output), { away: 'it is away', back: 'it is back' });
  const lines = () =>
    String(output.read() ?? '')
      .split('\n')
      .flatMap((line) => (line ? [JSON.parse(line)] : []));
  return { outage, lines };
}

const LATER = Number.MAX_SAFE_INTEGER;

test('an outage is logged when it begins and, with the number of failures, when it ends', (t) => {
  const { outage, lines } = outageWithLog();

  for (let n = 0; n < 1000; n += 1) outage.failed(new Error('connect ECONNREFUSED'));
  outage.succeeded(LATER);
  outage.succeeded(LATER);

  const [away, back, ...others] = lines();
  t.like(away, { msg: 'it is away', reason: 'connect ECONNREFUSED', level: 50 });
  t.like(back, { msg: 'it is back', failures: 1000, level: 30 });
  t.deepEqual(others, []);
  t.false('stack' in away || 'err' in away);
});

test('a success that began before the last failure does not end an outage', (t) => {
  const { outage, lines } = outageWithLog();
  const before = performance.now();

  outage.failed(new Error('outer', { cause: new Error('the inner reason') }));
  outage.succeeded(before);

  t.deepEqual(
    lines().map(({ msg, reason }) => [msg, reason]),
    [['it is away', 'the inner reason']],
  );
});

test('each outage has its own lines', (t) => {
  const { outage, lines } = outageWithLog();

  for (let n = 0; n < 2; n += 1) {
    outage.failed('broken');
    outage.succeeded(LATER);
  }

  t.deepEqual(
    lines().map(({ msg, failures }) => [msg, failures]),
    [
      ['it is away', undefined],
      ['it is back', 1],
      ['it is away', undefined],
      ['it is back', 1],
    ],
  );
});
