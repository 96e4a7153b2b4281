import { Ajv2020 } from 'ajv/dist/2020.js';
import type { Document } from './document.ts';
import type { FuzzRequest } from './requests.ts';
import type { FuzzReply } from './send.ts';

/** Errors of HTTP itself that any operation can reply with, although the document does not list them (docs/api.md). */
const OF_HTTP = new Set([400, 404, 405, 413, 415, 417, 431]);
const PROBLEM = 'application/problem+json';

/** Words of inner error messages. No problem may contain one. */
const INNER =
  /node_modules|\bat .+:\d+:\d+|file:\/\/|postgres:|pg_|plpgsql|SELECT |INSERT |ECONN|slonik|ioredis/i;

/** Says what is wrong with a reply; undefined when nothing is. */
type CheckReply = (sent: FuzzRequest, reply: FuzzReply) => string | undefined;

/** Creates the check of replies against the OpenAPI document. */
export function createCheck(document: Document): CheckReply {
  const ajv = new Ajv2020({ strict: false, validateFormats: false });
  ajv.addSchema(document, 'document');
  const mistakeIn = (pointer: string[], value: unknown) => {
    const fragment = pointer.map(
      (name) => `/${encodeURIComponent(name.replaceAll('~', '~0').replaceAll('/', '~1'))}`,
    );
    const isValid = ajv.validate({ $ref: `document#${fragment.join('')}` }, value);
    return isValid ? undefined : ajv.errorsText();
  };

  return (sent, { status, headers, body, error }) => {
    const { operation, method } = sent;
    if (error) return `no reply: ${error}`;
    const isPlain = isAsDocumented(sent);
    const documented = operation.replies[status];
    if (status >= 500 && !(status === 503 && (documented || !isPlain))) return `status ${status}`;
    if (method === 'HEAD' || status === 204 || status === 304) return undefined;
    const type = (headers['content-type'] ?? '').split(';')[0] ?? '';
    if (status >= 400) {
      if (type !== PROBLEM && !documented?.[type]) return `a ${status} of type ${type}`;
      if (type === PROBLEM && INNER.test(body.toString())) return `inner text: ${body.toString()}`;
    }
    if (!isPlain || (!documented && OF_HTTP.has(status))) {
      return type === PROBLEM
        ? mistakeIn(['components', 'schemas', 'Problem'], parsed(body))
        : undefined;
    }
    if (!documented) return `status ${status} is not documented`;
    if (!(type in documented)) return `type ${type} is not documented for ${status}`;
    if (documented[type] === null) return undefined;
    const place = ['paths', operation.path, method.toLowerCase(), 'responses', String(status)];
    return mistakeIn([...place, 'content', type, 'schema'], parsed(body));
  };
}

/** Whether a request has the method of its operation, and a path of the documented form, so that it reaches it. */
function isAsDocumented({ operation, method, path }: FuzzRequest): boolean {
  const pattern = operation.path.replaceAll(/\{\w+\}/g, '[^/?]+');
  return method === operation.method && new RegExp(`^${pattern}(\\?.*)?$`).test(path);
}

function parsed(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString());
  } catch {
    return undefined; // no schema accepts it
  }
}
