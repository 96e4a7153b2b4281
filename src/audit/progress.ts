const WIDTH = 30;
const REDRAW_MS = 200;

/** Shows the progress of a long run. */
type Progress = { advance: (orders: number) => void; end: () => void };

/** Draws a bar on a terminal, and nothing when stderr is a file or a pipe. */
export function createProgress(expected: number, stream = process.stderr): Progress {
  if (!stream.isTTY || expected <= 0) return { advance: () => undefined, end: () => undefined };
  const started = Date.now();
  let done = 0;
  let drawn = 0;
  return {
    advance(orders) {
      done += orders;
      if (Date.now() - drawn < REDRAW_MS) return;
      drawn = Date.now();
      stream.write(`\r${bar(done, expected, (drawn - started) / 1000)}`);
    },
    end: () => void stream.write('\r\u001b[K'),
  };
}

/** For example `[#########.....................]  31 %  620,000 orders  17 s`. */
export function bar(done: number, expected: number, seconds: number): string {
  const part = Math.min(done / expected, 1);
  const filled = Math.round(part * WIDTH);
  const line = '#'.repeat(filled).padEnd(WIDTH, '.');
  const percent = String(Math.floor(part * 100)).padStart(3);
  return `[${line}] ${percent} %  ${done.toLocaleString('en')} orders  ${Math.round(seconds)} s`;
}
