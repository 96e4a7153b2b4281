import { HELP, parseOptions, type Options } from './audit/options.ts';
import { readSigner, trustedKeys } from './audit/keys.ts';
import { toJson, toText } from './audit/report.ts';
import { total } from './audit/check.ts';
import { runAudit } from './audit/run.ts';
import { verifyEvidence } from './audit/verify.ts';
import { AuditConfig } from './config.ts';
import { ConfigError, loadConfig } from './config/load.ts';
import { exitOnFailure, ReadableError } from './process.ts';

const EXIT_CLEAN = 0;
const EXIT_VIOLATIONS = 1;
const EXIT_COULD_NOT_RUN = 2;

async function main(args: string[]): Promise<number> {
  const options = parseOptions(args);
  if (options.help) {
    process.stdout.write(HELP);
    return EXIT_CLEAN;
  }
  const config = loadConfig(AuditConfig);
  if (options.verify !== undefined) return verify(config, options, options.verify);
  return audit(config, options);
}

async function audit(config: AuditConfig, options: Options): Promise<number> {
  const databaseUrl = config.AUDIT_DATABASE_URL ?? config.DATABASE_URL;
  if (databaseUrl === undefined) {
    throw new ConfigError('AUDIT_DATABASE_URL or DATABASE_URL is required');
  }
  const evidence = options.evidence && {
    file: options.evidence,
    signer: readSigner(config.AUDIT_SIGNING_KEY_FILE),
  };
  const keys = trustedKeys(options.key, config.AUDIT_SIGNING_KEY_FILE);
  const report = await runAudit({
    databaseUrl,
    keys,
    since: options.since,
    evidence: evidence || undefined,
  });
  process.stdout.write(options.json ? toJson(report) : toText(report));
  return total(report.findings) === 0 ? EXIT_CLEAN : EXIT_VIOLATIONS;
}

function verify(config: AuditConfig, { key, json }: Options, file: string): number {
  const keys = trustedKeys(key, config.AUDIT_SIGNING_KEY_FILE);
  if (!keys) {
    throw new ReadableError(
      'Verifying needs the public key from a source that you trust: --key FILE, or AUDIT_SIGNING_KEY_FILE. ' +
        'The key in the file proves nothing',
    );
  }
  const { problems, evidence } = verifyEvidence(file, keys);
  const verified = problems.length === 0;
  const key_id = evidence?.signed.key_id ?? null;
  if (json) {
    process.stdout.write(`${JSON.stringify({ verified, problems, key_id }, null, 2)}\n`);
  } else {
    for (const problem of problems) process.stdout.write(`${file}: ${problem}\n`);
    if (verified) process.stdout.write(`${file}: unchanged since key ${key_id} signed it\n`);
  }
  return verified ? EXIT_CLEAN : EXIT_VIOLATIONS;
}

if (import.meta.main) {
  await exitOnFailure(async () => {
    process.exitCode = await main(process.argv.slice(2));
  }, EXIT_COULD_NOT_RUN);
}
