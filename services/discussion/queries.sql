-- Each statement has a name, and is sent as it stands here.

-- name: clock
SELECT clock() AS now

-- name: stream_version
SELECT coalesce((SELECT version FROM streams WHERE stream = $1), 0)

-- name: hold_facts
SELECT pg_advisory_xact_lock(
    hashtextextended(format('parley facts %s %s', current_schema(), $1::text), 0))

-- name: hold_stream
SELECT FROM streams WHERE stream = $1 FOR UPDATE

-- name: save_discussion
INSERT INTO discussions
    (discussion, workspace, state, mode, title, search, version, created_at, updated_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8)
ON CONFLICT (discussion) DO UPDATE
    -- Nothing about the state: it stays as it is.
    SET state = coalesce(nullif(excluded.state, ''), discussions.state),
        version = excluded.version, updated_at = excluded.updated_at

-- name: list_discussions
SELECT discussion, title, state, mode, created_at, updated_at
FROM discussions
WHERE workspace = $1
  AND state <> 'deleted'
  AND ($2 = '' OR state = $2)
  AND ($4 = '' OR discussion < $4)
  -- Every word is found, in the title or anywhere in what was said.
  AND NOT EXISTS (
      SELECT FROM unnest($3::bytea[]) AS word
      WHERE position(word IN search) = 0
        AND NOT EXISTS (
            SELECT FROM said
            WHERE said.discussion = discussions.discussion AND position(word IN said.words) > 0
        )
  )
ORDER BY discussion DESC
LIMIT $5

-- name: find_discussion
SELECT state, version, title FROM discussions WHERE discussion = $1 AND workspace = $2

-- name: rename_discussion
UPDATE discussions SET title = $2, search = $3 WHERE discussion = $1

-- name: forget_discussion
-- The line stays, to be told from one that never was.
UPDATE discussions SET state = 'deleted', title = '', search = '' WHERE discussion = $1

-- name: note_said
INSERT INTO said (discussion, version, words) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING

-- name: forget_said
DELETE FROM said WHERE discussion = $1

-- name: discussions_not_noted
SELECT discussion FROM discussions
WHERE state <> 'deleted'
  AND NOT EXISTS (SELECT FROM said WHERE said.discussion = discussions.discussion)
ORDER BY discussion DESC
LIMIT $1

-- name: still_to_publish
SELECT EXISTS (SELECT FROM outbox JOIN events USING (position) WHERE stream = $1)

-- name: subjects_with_words
-- That it is deleted stays to be read; all else of it goes from the bus.
SELECT DISTINCT subject FROM events WHERE stream = $1
  AND type NOT IN ('discussion.deleted.v1', 'discussion.run_deleted.v1')

-- name: set_wakeup
INSERT INTO wakeups (kind, subject, workspace, discussion, due_at, waits_for, payload)
VALUES ($1, $2, $3, $4, coalesce($5::timestamptz, 'infinity'), $6, $7)
ON CONFLICT (kind, subject) DO UPDATE
    SET due_at = excluded.due_at, waits_for = excluded.waits_for, payload = excluded.payload,
        claimed_until = '-infinity', tries = 0, rank = 0, insists = false

-- name: stand_in_line
UPDATE wakeups
SET due_at = $2, waits_for = $3, rank = $4, claimed_until = '-infinity', tries = 0
WHERE kind = 'turn' AND subject = $1

-- name: ahead_in_line
-- Who was parked, and has just been woken, stands there too: it only has not said so yet.
SELECT count(*) FROM (
    SELECT FROM wakeups
    WHERE (waits_for = $1 OR (waits_for = ANY ($5) AND due_at <= clock()))
      AND (rank, subject) < ($2::integer, $3::text)
    LIMIT $4
) AS before

-- name: line_length
SELECT count(*) FROM (SELECT FROM wakeups WHERE waits_for = $1 LIMIT $2) AS line

-- name: leave_line
DELETE FROM wakeups WHERE kind = 'turn' AND subject = $1 RETURNING waits_for

-- name: wake_next
-- The first in line but $3 looks at $2, if it would not do so sooner by itself.
UPDATE wakeups
SET due_at = $2, claimed_until = '-infinity'
WHERE (kind, subject) IN (
    SELECT kind, subject FROM wakeups
    WHERE waits_for = ANY ($1) AND subject <> $3
    ORDER BY rank, subject
    LIMIT 1
    FOR UPDATE SKIP LOCKED
) AND due_at > $2 AND due_at < 'infinity'

-- name: set_limits
INSERT INTO limits (workspace, provider, record, set_by, set_at)
VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (workspace, provider) DO UPDATE
    SET record = excluded.record, set_by = excluded.set_by, set_at = excluded.set_at

-- name: forget_limits
DELETE FROM limits WHERE workspace = $1 AND provider = $2

-- name: limits
SELECT record FROM limits WHERE workspace = $1 AND provider = $2

-- name: lines_of_workspace
SELECT waits_for, count(*) AS turns FROM wakeups
WHERE workspace = $1 AND kind = 'turn' AND starts_with(waits_for, 'place:')
GROUP BY 1

-- name: accounts_of_provider
SELECT endpoint, account, record FROM accounts
WHERE workspace = $1 AND provider = $2
ORDER BY endpoint, account
FOR UPDATE

-- name: limits_of_workspace
SELECT provider, record FROM limits WHERE workspace = $1

-- name: drop_wakeup
DELETE FROM wakeups WHERE kind = $1 AND subject = $2

-- name: claim_wakeups
UPDATE wakeups
SET claimed_until = clock() + $2::interval, tries = tries + 1
WHERE (kind, subject) IN (
    SELECT kind, subject FROM wakeups
    WHERE due_at <= clock() AND claimed_until <= clock()
    ORDER BY due_at, rank, subject
    LIMIT $1
    FOR UPDATE SKIP LOCKED
)
RETURNING kind, subject, workspace, discussion, tries, payload, insists

-- name: postpone_wakeup
UPDATE wakeups
SET due_at = clock() + $3::interval, claimed_until = '-infinity',
    tries = CASE WHEN $4 THEN tries ELSE 0 END
WHERE kind = $1 AND subject = $2

-- name: wake_waiting
-- All of them at one moment: who is taken first is decided by who has waited longest.
UPDATE wakeups
SET due_at = (SELECT clock()), claimed_until = '-infinity'
WHERE (kind, subject) IN (
    SELECT kind, subject FROM wakeups
    WHERE waits_for = $1 AND due_at > clock()
    ORDER BY rank, subject
    LIMIT $2  -- NULL: all
    FOR UPDATE SKIP LOCKED
)

-- name: look_again
-- Somebody has mended something, or hopes so: what is parked for it looks behind its gate.
UPDATE wakeups
SET due_at = clock(), claimed_until = '-infinity', insists = waits_for NOT LIKE 'place:%'
WHERE kind = 'turn' AND subject = $1 AND due_at > clock()

-- name: begin_attempt
INSERT INTO attempts
    (attempt, workspace, discussion, turn, provider, model, endpoint, account, key, key_version,
     started_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)

-- name: find_attempt
SELECT * FROM attempts WHERE attempt = $1

-- name: running
SELECT attempt FROM attempts WHERE attempt = ANY ($1)

-- name: attempts_of_discussion
SELECT * FROM attempts WHERE discussion = $1 ORDER BY provider, endpoint, account, attempt

-- name: end_attempt
DELETE FROM attempts WHERE attempt = $1

-- name: lock_account
SELECT record FROM accounts
WHERE workspace = $1 AND provider = $2 AND endpoint = $3 AND account = $4
FOR UPDATE

-- name: read_account
SELECT record FROM accounts
WHERE workspace = $1 AND provider = $2 AND endpoint = $3 AND account = $4

-- name: make_account
INSERT INTO accounts (workspace, provider, endpoint, account, record)
VALUES ($1, $2, $3, $4, $5)
ON CONFLICT DO NOTHING

-- name: save_account
UPDATE accounts SET record = $5
WHERE workspace = $1 AND provider = $2 AND endpoint = $3 AND account = $4

-- name: accounts_of_workspace
SELECT provider, endpoint, account, record FROM accounts WHERE workspace = $1

-- name: close_gate
INSERT INTO gates (workspace, gate, provider, failure, closed_at)
VALUES ($1, $2, $3, $4, $5)
ON CONFLICT DO NOTHING

-- name: closed_gates
-- A key's first: behind it nobody gets, whoever insists.
SELECT gate, failure FROM gates WHERE workspace = $1 AND gate = ANY ($2)
ORDER BY starts_with(gate, 'key:') DESC

-- name: open_gate
DELETE FROM gates WHERE workspace = $1 AND gate = $2

-- name: gate_closed_at
SELECT closed_at FROM gates WHERE workspace = $1 AND gate = $2

-- name: tell_gate
UPDATE gates SET failure = $3 WHERE workspace = $1 AND gate = $2

-- name: wakeup_payload
SELECT payload FROM wakeups WHERE kind = $1 AND subject = $2

-- name: hasten_look
UPDATE wakeups SET due_at = clock(), claimed_until = '-infinity'
WHERE kind = 'quota' AND subject = $1 AND due_at > clock()

-- name: key_of_account
SELECT key, version FROM keys
WHERE workspace = $1 AND provider = $2 AND endpoint = $3
  AND coalesce(nullif(account, ''), key) = $4 AND state = 'active'
ORDER BY key DESC
LIMIT 1

-- name: gates_of_workspace
SELECT gate, provider, failure, closed_at FROM gates WHERE workspace = $1 ORDER BY closed_at

-- name: watch_gates
-- Until the end of the transaction no gate of the provider is opened; several may watch.
SELECT pg_advisory_xact_lock_shared(
    hashtextextended(format('parley gates %s %s %s', current_schema(), $1::text, $2::text), 0))

-- name: move_gates
-- Waits for those who watch: what they park is there when its gate opens.
SELECT pg_advisory_xact_lock(
    hashtextextended(format('parley gates %s %s %s', current_schema(), $1::text, $2::text), 0))

-- name: open_gates
DELETE FROM gates WHERE workspace = $1 AND provider = $2 AND starts_with(gate, $3)
RETURNING gate

-- name: open_these
DELETE FROM gates WHERE workspace = $1 AND gate = ANY ($2)
RETURNING gate

-- name: save_key
INSERT INTO keys
    (key, workspace, version, provider, endpoint, account, state, activated_at, told_at, pooled)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
ON CONFLICT (key) DO UPDATE
    SET version = excluded.version, endpoint = excluded.endpoint, state = excluded.state,
        account = CASE WHEN excluded.account = '' THEN keys.account ELSE excluded.account END,
        activated_at = coalesce(excluded.activated_at, keys.activated_at),
        told_at = excluded.told_at,
        pooled = keys.pooled OR excluded.pooled,
        seen = CASE WHEN keys.version = excluded.version THEN keys.seen ELSE '' END
    WHERE (keys.version, keys.told_at) <= (excluded.version, excluded.told_at)

-- name: usable_key
-- The newest key: ids are in the order of their making, an old key that recovers stays old.
SELECT key, version, endpoint, account, state = 'suspect' AS suspect, pooled FROM keys
WHERE workspace = $1 AND provider = $2 AND state IN ('active', 'suspect')
ORDER BY state, key DESC
LIMIT 1

-- name: endpoints
SELECT row FROM endpoints WHERE workspace = $1 AND row IS NOT NULL ORDER BY name

-- name: save_endpoint
INSERT INTO endpoints (workspace, name, row, told_at) VALUES ($1, $2, $3, $4)
ON CONFLICT (workspace, name) DO UPDATE SET row = excluded.row, told_at = excluded.told_at
    WHERE endpoints.told_at <= excluded.told_at

-- name: pool_of_keys
-- All keys in use, the newest first, with what is known of their accounts; and whether they have
-- the model, as far as their catalogs tell.
SELECT k.key, k.version, k.endpoint, coalesce(nullif(k.account, ''), k.key) AS account, a.record,
       coalesce(convert_from(c.models, 'UTF8')::jsonb @> jsonb_build_array(
           jsonb_build_object('id', $3::text)), true) AS has_model
FROM keys k
LEFT JOIN accounts a ON (a.workspace, a.provider, a.endpoint, a.account)
    = (k.workspace, k.provider, k.endpoint, coalesce(nullif(k.account, ''), k.key))
LEFT JOIN catalogs c ON (c.workspace, c.provider, c.endpoint, c.key)
    = (k.workspace, k.provider, k.endpoint, k.key)
WHERE k.workspace = $1 AND k.provider = $2 AND k.state = 'active'
ORDER BY k.key DESC

-- name: join_pool
UPDATE keys SET pooled = true WHERE key = $1

-- name: see_account
UPDATE keys SET seen = $3 WHERE key = $1 AND version = $2 AND seen <> $3

-- name: name_account
-- What the account was called before; nothing if that is its name already.
UPDATE keys SET account = $3 FROM keys AS former
WHERE keys.key = $1 AND former.key = $1 AND keys.version = $2
  AND keys.account <> $3
RETURNING coalesce(nullif(former.account, ''), former.key) AS account

-- name: account_of_key
SELECT account FROM keys WHERE key = $1

-- name: move_attempts
UPDATE attempts SET account = $3 WHERE key = $1 AND account = $2

-- name: forget_account
DELETE FROM accounts
WHERE workspace = $1 AND provider = $2 AND endpoint = $3 AND account = $4

-- name: save_catalog
INSERT INTO catalogs (workspace, provider, endpoint, key, models, refreshed_at)
VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (workspace, provider, endpoint, key) DO UPDATE
    SET models = excluded.models, refreshed_at = excluded.refreshed_at

-- name: catalogs
-- A key in doubt included: who asks for its models waits until it is confirmed or put away.
SELECT c.provider, c.endpoint, c.key, c.models, c.refreshed_at, k.activated_at
FROM catalogs c LEFT JOIN keys k USING (key)
WHERE c.workspace = $1 AND (c.key = '' OR k.state IN ('active', 'suspect'))

-- name: find_key
SELECT key, workspace, version, provider, endpoint, account, state FROM keys WHERE key = $1

-- name: keys_in_use
SELECT key, workspace, version, provider, endpoint, account FROM keys
WHERE workspace = $1 AND state = 'active'
ORDER BY provider, key

-- name: keys_without_a_look
SELECT key, workspace FROM keys
WHERE state = 'active'
  AND NOT EXISTS (SELECT FROM wakeups WHERE kind = 'look' AND subject = keys.key)

-- name: set_look
INSERT INTO wakeups (kind, subject, workspace, due_at) VALUES ('look', $1, $2, clock() + $3::interval)
ON CONFLICT (kind, subject) DO UPDATE
    SET due_at = excluded.due_at, claimed_until = '-infinity', tries = 0

-- name: drop_catalogs
DELETE FROM catalogs WHERE workspace = $1 AND provider = $2 AND key = '' AND endpoint <> $3

-- name: waiting_by_provider
SELECT split_part(payload_provider, '/', 1) AS provider,
       count(*) FILTER (WHERE due_at < 'infinity') AS waiting,
       count(*) FILTER (WHERE due_at = 'infinity') AS parked
FROM (
    SELECT convert_from(payload, 'UTF8') AS payload_provider, due_at
    FROM wakeups WHERE workspace = $1 AND kind = 'turn'
) AS turns
GROUP BY 1
