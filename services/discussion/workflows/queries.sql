-- Each statement has a name, and is sent as it stands here.

-- name: save_workflow
INSERT INTO workflows
    (workflow, workspace, slug, version, archived, built_in, definition, source, updated_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
ON CONFLICT (workflow) DO UPDATE
    SET version = excluded.version, archived = excluded.archived, built_in = excluded.built_in,
        definition = excluded.definition, source = excluded.source,
        updated_at = excluded.updated_at

-- name: find_workflow
SELECT workflow, slug, version, built_in, definition, source, updated_at FROM workflows
WHERE workspace = $1 AND (slug = $2 OR workflow = $2) AND NOT archived

-- name: list_workflows
SELECT workflow, slug, version, built_in, definition, updated_at FROM workflows
WHERE workspace = $1 AND NOT archived
ORDER BY slug

-- name: save_run
INSERT INTO runs
    (run, workspace, workflow, slug, title, state, version, created_at, updated_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8)
ON CONFLICT (run) DO UPDATE
    SET state = excluded.state, version = excluded.version, updated_at = excluded.updated_at

-- name: find_run
SELECT state, version FROM runs WHERE run = $1 AND workspace = $2

-- name: forget_run
-- The line stays, to be told from one that never was.
UPDATE runs SET state = 'deleted', title = '' WHERE run = $1

-- name: list_runs
SELECT run, workflow, slug, title, state, created_at, updated_at FROM runs
WHERE workspace = $1
  AND state <> 'deleted'
  AND ($2 = '' OR slug = $2 OR workflow = $2)
  AND ($3 = '' OR state = $3)
  AND ($4 = '' OR run < $4)
ORDER BY run DESC
LIMIT $5

-- name: join_run
INSERT INTO run_discussions (discussion, run, workspace) VALUES ($1, $2, $3)

-- name: wake_run
-- The payload is another one each time, so that whoever works on the run can tell that it was woken
-- again meanwhile.
INSERT INTO wakeups (kind, subject, workspace, due_at, payload)
VALUES ('run', $1, $2, clock(), convert_to(gen_random_uuid()::text, 'UTF8'))
ON CONFLICT (kind, subject) DO UPDATE
    SET due_at = excluded.due_at, payload = excluded.payload, claimed_until = '-infinity',
        tries = 0

-- name: wake_run_of
INSERT INTO wakeups (kind, subject, workspace, due_at, payload)
SELECT 'run', run, workspace, clock(), convert_to(gen_random_uuid()::text, 'UTF8')
FROM run_discussions WHERE discussion = $1
ON CONFLICT (kind, subject) DO UPDATE
    SET due_at = excluded.due_at, payload = excluded.payload, claimed_until = '-infinity',
        tries = 0

-- name: rest_run
DELETE FROM wakeups WHERE kind = 'run' AND subject = $1 AND payload = $2

-- name: states_of_discussions
SELECT discussion, state FROM discussions WHERE discussion = ANY ($1)
