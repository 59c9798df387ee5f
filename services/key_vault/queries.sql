-- The vault's own keys

-- name: find_identity
SELECT sealed FROM identity;

-- name: keep_identity
INSERT INTO identity (sealed) VALUES ($1) ON CONFLICT DO NOTHING;

-- The KEK, see rewrapping.py. Seven bytes at the front of whatever is encrypted say which one it is.

-- name: hold_kek
SELECT substring(sealed FROM 1 FOR 7) FROM identity FOR SHARE;

-- name: lock_keks
SELECT pg_advisory_xact_lock(
    hashtextextended(format('parley %s keks', current_schema()), 0));

-- name: rewrap_identity
UPDATE identity SET sealed = $1;

-- name: secrets_to_rewrap
SELECT key, version, '' AS endpoint, sealed FROM secrets
WHERE substring(sealed FROM 1 FOR 7) <> $1 AND (key, version, '') > ($3, $4, $5)
ORDER BY key, version LIMIT $2;

-- name: trials_to_rewrap
SELECT key, version, endpoint, sealed FROM trials
WHERE substring(sealed FROM 1 FOR 7) <> $1 AND (key, version, endpoint) > ($3, $4, $5)
ORDER BY key, version, endpoint LIMIT $2;

-- Unless it has been replaced or destroyed meanwhile.
-- name: rewrap_secrets
UPDATE secrets SET sealed = $5 WHERE key = $1 AND version = $2 AND $3 = '' AND sealed = $4;

-- name: rewrap_trials
UPDATE trials SET sealed = $5 WHERE key = $1 AND version = $2 AND endpoint = $3 AND sealed = $4;

-- name: any_to_rewrap
SELECT EXISTS (SELECT FROM secrets WHERE substring(sealed FROM 1 FOR 7) <> $1)
    OR EXISTS (SELECT FROM trials WHERE substring(sealed FROM 1 FOR 7) <> $1);

-- Where a stream stands

-- name: stream_version
SELECT coalesce((SELECT version FROM streams WHERE stream = $1), 0);

-- Secrets

-- name: keep_secret
INSERT INTO secrets (key, version, sealed) VALUES ($1, $2, $3);

-- name: find_secret
SELECT sealed FROM secrets WHERE key = $1 AND version = $2;

-- name: destroy_former_secrets
DELETE FROM secrets WHERE key = $1 AND version < $2;

-- name: destroy_secrets
DELETE FROM secrets WHERE key = $1;

-- Secrets on trial

-- Two that rotate the same key at once get two versions.
-- name: hold_key
SELECT version FROM keys WHERE key = $1 AND workspace = $2 FOR UPDATE;

-- name: next_version
SELECT 1 + greatest($2, coalesce((SELECT max(version) FROM trials WHERE key = $1), 0));

-- name: reserve_version
INSERT INTO trials (key, version, endpoint, workspace, until) VALUES ($1, $2, '', $3, now());

-- name: begin_trial
INSERT INTO trials (key, version, endpoint, workspace, sealed, until)
VALUES ($1, $2, $3, $4, $5, now() + $6::interval);

-- name: find_trial
SELECT sealed FROM trials
WHERE key = $1 AND version = $2 AND endpoint = $3 AND workspace = $4
  AND sealed IS NOT NULL AND until > now();

-- name: end_trial
UPDATE trials SET sealed = NULL, until = now() WHERE key = $1 AND version = $2 AND endpoint = $3;

-- name: end_trials
UPDATE trials SET sealed = NULL, until = now() WHERE key = $1;

-- Those whose process has died.
-- name: end_old_trials
UPDATE trials SET sealed = NULL WHERE sealed IS NOT NULL AND until < now();

-- name: forget_trials
DELETE FROM trials WHERE until < now() - $1::interval;

-- Keys: the projection

-- name: find_key
SELECT keys.*, shares_of(keys) AS shares FROM keys WHERE key = $1 AND workspace = $2;

-- The state cannot change between the check and the note of the loan.
-- name: find_key_to_lend
SELECT * FROM keys WHERE key = $1 AND workspace = $2 FOR SHARE;

-- name: list_keys
SELECT keys.*, shares_of(keys) AS shares FROM keys WHERE workspace = $1 AND ($2::text IS NULL OR provider = $2) ORDER BY key DESC;

-- name: fingerprints
SELECT provider, fingerprint FROM keys WHERE workspace = $1 AND state <> 'revoked';

-- name: add_key
INSERT INTO keys
    (key, workspace, provider, version, state, endpoint, region, fingerprint, label, since, pool)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11);

-- name: tell_balance
UPDATE keys SET balance = $2 WHERE key = $1;

-- name: name_account
UPDATE keys SET account = $2 WHERE key = $1;

-- name: move_key
UPDATE keys SET state = $2, since = $3, reason = $4, next_step = $5 WHERE key = $1;

-- name: activate_key
UPDATE keys
SET state = $2, since = $3, activated_at = $3, account = $4, reason = '', next_step = ''
WHERE key = $1;

-- name: explain_key
UPDATE keys SET reason = $2, next_step = $3 WHERE key = $1;

-- name: prove_key
UPDATE keys SET proven = true WHERE key = $1;

-- name: rotate_key
UPDATE keys
SET version = $2, fingerprint = $3, account = $4, endpoint = $5, proven = false
WHERE key = $1;

-- name: remove_key
DELETE FROM keys WHERE key = $1;

-- Endpoints beside the built-in providers: the projection

-- name: list_endpoints
SELECT name, row, since FROM endpoints WHERE workspace = $1 ORDER BY name;

-- name: save_endpoint
INSERT INTO endpoints (workspace, name, row, since) VALUES ($1, $2, $3, $4)
ON CONFLICT (workspace, name) DO UPDATE SET row = excluded.row, since = excluded.since;

-- name: drop_endpoint
DELETE FROM endpoints WHERE workspace = $1 AND name = $2;

-- name: providers_with_keys
SELECT DISTINCT workspace, provider FROM keys WHERE provider <> ALL ($1::text[]);

-- Loans

-- name: note_lease
INSERT INTO leases (workspace, key, version, endpoint, request, purpose, expires_at)
VALUES ($1, $2, $3, $4, $5, $6, $7);

-- name: forget_leases
DELETE FROM leases WHERE at < now() - $1::interval;

-- Questions still to be put

-- name: plan_check
INSERT INTO checks (key, workspace, due) VALUES ($1, $2, now() + $3::interval)
ON CONFLICT (key) DO UPDATE SET due = excluded.due, tries = 0;

-- name: postpone_check
UPDATE checks SET due = now() + $2::interval WHERE key = $1;

-- name: drop_check
DELETE FROM checks WHERE key = $1;

-- Pushed into the future when taken: if whoever took it dies, it comes due again.
-- name: take_check
UPDATE checks SET due = now() + $1::interval, tries = tries + 1
WHERE key = (SELECT key FROM checks WHERE due <= now() ORDER BY due LIMIT 1 FOR UPDATE SKIP LOCKED)
RETURNING key, workspace, tries;

-- Questions that are being put

-- name: begin_question
INSERT INTO questions (key, until) VALUES ($1, clock_timestamp() + $2::interval)
ON CONFLICT (key) DO UPDATE SET until = excluded.until WHERE questions.until < clock_timestamp()
RETURNING until;

-- name: is_asked_about
SELECT EXISTS (SELECT FROM questions WHERE key = $1 AND until > clock_timestamp());

-- name: end_question
DELETE FROM questions WHERE key = $1 AND until = $2;

-- Access tokens

-- name: keep_token_hash
INSERT INTO token_hashes (hash, token) VALUES ($1, $2);

-- name: find_token
SELECT tokens.* FROM tokens JOIN token_hashes USING (token) WHERE hash = $1;

-- name: any_token
SELECT EXISTS (SELECT FROM tokens);

-- name: add_token
INSERT INTO tokens (token, workspace, role, label, expires_at, issued_at, issued_by)
VALUES ($1, $2, $3, $4, $5, $6, $7);

-- name: list_tokens
SELECT * FROM tokens WHERE workspace = $1 ORDER BY token DESC;

-- name: lock_token
SELECT * FROM tokens WHERE token = $1 AND workspace = $2 FOR UPDATE;

-- Locked in one order, so that two owners cannot revoke each other at the same moment.
-- name: lock_owners
SELECT token FROM tokens
WHERE workspace = $1 AND role = 'owner' AND revoked_at IS NULL
  AND (expires_at IS NULL OR expires_at > now())
ORDER BY token
FOR UPDATE;

-- name: revoke_token
UPDATE tokens SET revoked_at = $2 WHERE token = $1 AND revoked_at IS NULL;

-- The first start

-- name: lock_first_start
SELECT pg_advisory_xact_lock(hashtextextended('parley key_vault first start', 0));

-- name: reached
SELECT EXISTS (SELECT FROM milestones WHERE name = $1);

-- name: reach
INSERT INTO milestones (name) VALUES ($1) ON CONFLICT DO NOTHING;

-- name: keep_handover
INSERT INTO handovers (provider, fingerprint) VALUES ($1, $2) ON CONFLICT DO NOTHING;

-- name: list_handovers
SELECT provider, fingerprint FROM handovers;
