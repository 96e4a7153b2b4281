-- Makes a token with which a customer sets a new password, once and within an hour: POST /auth/password-reset.
--   psql: SELECT ops.reset_password('ada@example.com', 'ticket 4715: identity checked by phone');
-- Give the token to the customer only: with the token, any person can take over the account. A new token replaces the
-- one before. The password and the sessions stay as they are until the customer uses the token.
CREATE OR REPLACE FUNCTION ops.reset_password(email text, reason text) RETURNS text LANGUAGE plpgsql
SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  token      CONSTANT text := encode(sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())), 'hex');
  valid_to   CONSTANT timestamptz := date_trunc('seconds', now() + interval '1 hour');
  found_user uuid;
BEGIN
  PERFORM ops._require_reason(reset_password.reason);
  UPDATE public.users AS u SET reset_hash = sha256(convert_to(token, 'UTF8')), reset_until = valid_to
  WHERE u.email = lower(reset_password.email COLLATE "C")
  RETURNING u.id INTO found_user;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'no account has this email address'
      USING ERRCODE = 'OM005', HINT = 'Addresses are stored in lower case, with the domain in ASCII: xn--...';
  END IF;

  -- Record the action. The token is not part of it.
  INSERT INTO public.operator_actions (action, user_id, reason, before, after)
  VALUES ('reset_password', found_user, reset_password.reason, '{}', jsonb_build_object('token_valid_to', valid_to));
  RETURN token;
END $$;

COMMENT ON FUNCTION ops.reset_password IS
  'Makes a token with which a customer sets a new password once, within an hour. Refuses: OM005 unknown, OM008 no '
  'reason.';

ALTER FUNCTION ops.reset_password OWNER TO oms_accounts;
