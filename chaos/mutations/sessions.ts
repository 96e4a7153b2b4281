/* Mutations that break sessions: only the right password must open one, and a refresh token is valid for one use. */
import { detectedBy, inFunction, type Mutation } from './mutation.ts';

const once = detectedBy('sessions', 'a refresh token that is used twice ends its session');

export const sessionMutations: Mutation[] = [
  {
    name: 'log_in accepts any password',
    edits: [
      inFunction(
        'log_in',
        'log_in',
        ` = sha256(nonce || convert_to(computed_hash, 'UTF8'))\n`,
        ' IS NOT NULL\n',
      ),
    ],
    detector: detectedBy('sessions', 'a wrong password opens no session'),
  },
  {
    name: 'refresh_session does not mark a token as used',
    edits: [
      inFunction(
        'refresh_session',
        'refresh_session',
        'SET used_at = now() WHERE t.token_hash',
        'SET used_at = NULL WHERE t.token_hash',
      ),
    ],
    detector: once,
  },
  {
    name: 'refresh_session accepts a token that was used',
    edits: [
      inFunction(
        'refresh_session',
        'refresh_session',
        'IF NOT token.in_grace OR successor_used THEN',
        'IF false THEN',
      ),
    ],
    detector: once,
  },
  {
    name: 'refresh_session does not revoke the family of a stolen token',
    edits: [
      inFunction(
        'refresh_session',
        'refresh_session',
        'WHERE t.family_id = token.family_id AND t.revoked_at IS NULL;',
        'WHERE false;',
      ),
    ],
    detector: once,
  },
  {
    name: 'refresh_session accepts a token of a session that has ended',
    edits: [
      inFunction(
        'refresh_session',
        'refresh_session',
        'token.expired OR token.revoked',
        'token.expired',
      ),
    ],
    detector: detectedBy('sessions', 'a session that has ended cannot be refreshed'),
  },
  {
    name: 'live_sessions lists a session that has ended',
    edits: [
      inFunction(
        'live_sessions',
        'live_sessions',
        'AND f.revoked_at IS NULL AND f.expires_at',
        'AND f.expires_at',
      ),
    ],
    detector: detectedBy('sessions', 'an access token of a session that has ended is refused'),
  },
];
