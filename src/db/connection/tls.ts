import { readFileSync } from 'node:fs';
import type { ConnectionOptions, SecureVersion } from 'node:tls';
import { ReadableError } from '../../process.ts';
import type { Host, Target } from './target.ts';

/** For each attempt to connect, in order: whether it uses TLS, as libpq's sslmode says. A Unix socket has no TLS. */
export function tlsAttempts({ sslMode }: Target, { host }: Host): boolean[] {
  if (host.startsWith('/') || sslMode === 'disable') return [false];
  if (sslMode === 'allow') return [false, true];
  return sslMode === 'prefer' ? [true, false] : [true];
}

/**
 * The options of TLS for a host, as libpq's sslmode says. `verify-ca` checks that a CA of the file has signed the
 * certificate of the server, and `verify-full` also checks the name of the host. `require` is like `verify-ca` when the
 * file of CAs exists, and otherwise checks nothing. Reads the files each time, so that renewed certificates are used.
 * Throws a ReadableError when a file that is needed cannot be read.
 */
export function tlsOptions(target: Target, { host }: Host): ConnectionOptions {
  const { sslMode, tlsFiles, tlsPassword, tlsVersions } = target;
  const ca = readCertificates(target);
  const verifies = sslMode.startsWith('verify') || (sslMode === 'require' && ca !== null);
  return {
    // pg replaces this with the host that it connects to, unless that is an address.
    servername: /^[\d.]+$|:/.test(host) ? '' : host,
    host,
    rejectUnauthorized: verifies,
    ...(ca !== null && { ca }),
    ...(sslMode !== 'verify-full' && { checkServerIdentity: () => undefined }),
    ...(tlsFiles.cert && { cert: readFile(tlsFiles.cert, 'sslcert') }),
    ...(tlsFiles.cert && tlsFiles.key && { key: readFile(tlsFiles.key, 'sslkey') }),
    ...(tlsPassword !== undefined && { passphrase: tlsPassword }),
    ...(tlsVersions.min && { minVersion: tlsVersions.min as SecureVersion }),
    ...(tlsVersions.max && { maxVersion: tlsVersions.max as SecureVersion }),
  };
}

/** The CAs to trust. Null: trust the CAs of Node, or do not check the server. */
function readCertificates({ sslMode, tlsFiles: { ca } }: Target): string | null {
  if (ca === 'system') return null;
  if (sslMode.startsWith('verify')) return readFile(ca, 'sslrootcert');
  if (sslMode !== 'require') return null;
  try {
    return readFileSync(ca, 'utf8');
  } catch {
    return null; // as libpq: without the file, the server is not checked
  }
}

function readFile(path: string, keyword: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (cause) {
    const { code } = cause as { code?: string };
    throw new ReadableError(
      `The file of ${keyword} in DATABASE_URL cannot be read: ${path} (${code})`,
      { cause },
    );
  }
}
