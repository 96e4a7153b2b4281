/*
 * npm run conformance -- --base-url URL [--concurrency N]: checks whether a server of this API keeps the rules of safe
 * retries. Prints one line for each rule, and "N passed, N failed". README.md in this folder has more.
 */
import { parseArgs } from 'node:util';
import { exitOnFailure, ReadableError } from '../src/process.ts';
import { signUp } from './client.ts';
import { RuleBroken, type Rule, type Run } from './rule.ts';
import { keyRules } from './rules/keys.ts';
import { retryRules } from './rules/retries.ts';
import { scopeRules } from './rules/scope.ts';

const USAGE = 'Usage: npm run conformance -- --base-url http://localhost:8000 [--concurrency 8]';
const CONCURRENCY_MAX = 1000;
const EXIT_BROKEN = 1;
const EXIT_UNDETERMINED = 2;

const RULES = [...keyRules, ...retryRules, ...scopeRules];

await exitOnFailure(async () => {
  const { baseUrl, concurrency } = readArguments();
  const [ada, bob] = [await signUp(baseUrl, 'Ada'), await signUp(baseUrl, 'Bob')];
  let broken = 0;
  for (const rule of RULES) {
    const reason = await reasonOfBreach(rule, { ada, bob, concurrency });
    if (reason !== null) broken += 1;
    print(reason === null ? `ok      ${rule.title}` : `BROKEN  ${rule.title}: ${reason}`);
  }
  print(`${RULES.length - broken} passed, ${broken} failed`);
  if (broken > 0) process.exitCode = EXIT_BROKEN;
}, EXIT_UNDETERMINED);

/** Returns how the server breaks a rule, or null when it keeps the rule. Other errors end the run. */
async function reasonOfBreach({ check }: Rule, run: Run): Promise<string | null> {
  try {
    await check(run);
    return null;
  } catch (error) {
    if (error instanceof RuleBroken) return error.message;
    throw error;
  }
}

function readArguments(): { baseUrl: string; concurrency: number } {
  try {
    const { values } = parseArgs({
      options: { 'base-url': { type: 'string' }, concurrency: { type: 'string', default: '8' } },
    });
    const concurrency = Number(values.concurrency);
    const { protocol, href } = new URL(values['base-url'] ?? '');
    const isValid = concurrency >= 2 && concurrency <= CONCURRENCY_MAX;
    if (!isValid || !/^https?:$/.test(protocol)) throw new RangeError();
    return { baseUrl: href.replace(/\/$/, ''), concurrency };
  } catch (cause) {
    throw new ReadableError(USAGE, { cause });
  }
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}
