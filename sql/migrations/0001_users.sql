-- Users, and the refresh tokens that keep them logged in.
--
-- Locks: creates new objects only; safe to run while other processes are serving traffic.

-- An email address is stored in one form, so that equal addresses are equal bytes in a database of any locale. The API
-- converts each address to this form (src/users/email.ts). The domain refuses most other forms: it does not know every
-- rule of the API.
CREATE DOMAIN email_address AS text COLLATE "C"
  CONSTRAINT email_address_length_ck CHECK (octet_length(VALUE) BETWEEN 3 AND 254)
  CONSTRAINT email_address_form_ck   CHECK (
    VALUE ~ '^[^@[:space:][:cntrl:]]+@([a-z0-9]([a-z0-9-]*[a-z0-9])?[.])+[a-z]([a-z0-9-]*[a-z0-9])?$'
  )
  CONSTRAINT email_address_case_ck   CHECK (VALUE = lower(VALUE) AND VALUE IS NFC NORMALIZED);

CREATE TABLE users (
  id            uuid          NOT NULL,
  name          text          NOT NULL,
  email         email_address NOT NULL,
  password_hash text          NOT NULL,
  reset_hash    bytea,                        -- this and the next: NULL without a token to reset the password
  reset_until   timestamptz,
  created_at    timestamptz   NOT NULL DEFAULT now(),

  CONSTRAINT users_pk       PRIMARY KEY (id),
  CONSTRAINT users_email_uq UNIQUE (email), -- also serves login
  CONSTRAINT users_reset_uq UNIQUE (reset_hash), -- also serves the use of a token
  CONSTRAINT users_name_ck  CHECK (length(name) BETWEEN 1 AND 200),
  CONSTRAINT users_reset_ck CHECK (octet_length(reset_hash) = 32 AND reset_until IS NOT NULL
    OR reset_hash IS NULL AND reset_until IS NULL)
);

CREATE TABLE refresh_tokens (
  id         uuid        NOT NULL,
  user_id    uuid        NOT NULL,
  family_id  uuid        NOT NULL,
  token_hash bytea       NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  expires_at timestamptz NOT NULL,
  used_at    timestamptz,            -- NULL until it is exchanged for its successor
  revoked_at timestamptz,            -- NULL until its family is revoked
  network    cidr,                   -- NULL when the address of the client is unknown
  user_agent text,                   -- NULL when the client sent none

  CONSTRAINT refresh_tokens_pk            PRIMARY KEY (id),
  CONSTRAINT refresh_tokens_user_fk
    FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE,
  CONSTRAINT refresh_tokens_token_hash_uq UNIQUE (token_hash),
  CONSTRAINT refresh_tokens_token_hash_ck CHECK (octet_length(token_hash) = 32),
  CONSTRAINT refresh_tokens_network_ck    CHECK (masklen(network) <= CASE family(network) WHEN 4 THEN 24 ELSE 64 END),
  CONSTRAINT refresh_tokens_user_agent_ck CHECK (length(user_agent) BETWEEN 1 AND 200)
);

-- Serves the list of sessions, logout everywhere, and the foreign key.
CREATE INDEX refresh_tokens_user_ix ON refresh_tokens (user_id);

-- Serves the revocation of a family.
CREATE INDEX refresh_tokens_family_ix ON refresh_tokens (family_id);

-- Serves the nightly prune.
CREATE INDEX refresh_tokens_expires_ix ON refresh_tokens (expires_at);

COMMENT ON TABLE  users                     IS 'One row per account.';
COMMENT ON DOMAIN email_address             IS
  'An address in its one form: lower case, NFC, and the domain in ASCII (xn--...). Compared byte by byte.';
COMMENT ON COLUMN users.password_hash       IS 'argon2id, in PHC string format.';
COMMENT ON COLUMN users.reset_hash          IS
  'sha256 of the token with which the user can set a new password. The token itself is not stored.';
COMMENT ON TABLE  refresh_tokens            IS 'One row per refresh token, until the nightly prune after it expires.';
COMMENT ON COLUMN refresh_tokens.family_id  IS 'The id of the first token of the login: all its successors have it.';
COMMENT ON COLUMN refresh_tokens.token_hash IS 'sha256 of the token. The token itself is not stored.';
COMMENT ON COLUMN refresh_tokens.network    IS
  'The IPv4 /24 or IPv6 /64 of the client that got the token: enough for its owner to recognise it.';
COMMENT ON COLUMN refresh_tokens.expires_at IS 'Set at login for the whole family. A rotation does not change it.';
COMMENT ON COLUMN refresh_tokens.used_at    IS
  'When it was exchanged for its successor. refresh_session decides whether a later use is a theft.';
