-- Each statement has a name, and is sent as it stands here.

-- name: clock
SELECT clock_timestamp()

-- name: create_persona
INSERT INTO personas
    (workspace, slug, persona, version, name, title, prompt, model, color, built_in, updated_at)
VALUES ($1, $2, $3, 1, $4, $5, $6, $7, $8, $9, $10)

-- name: revise_persona
UPDATE personas
SET version = $3, name = $4, title = $5, prompt = $6, model = $7, color = $8, updated_at = $9,
    archived = false
WHERE workspace = $1 AND slug = $2

-- name: archive_persona
UPDATE personas SET archived = true, updated_at = $3 WHERE workspace = $1 AND slug = $2

-- name: find_persona
SELECT slug, persona, version, name, title, prompt, model, color, built_in, updated_at,
       archived
FROM personas
WHERE workspace = $1 AND slug = $2

-- name: list_personas
-- In the order in which pages are cut, whatever language an outside database sorts in.
SELECT slug, persona, version, name, title, prompt, model, color, built_in, updated_at,
       archived
FROM personas
WHERE workspace = $1 AND archived = $2
ORDER BY slug COLLATE "C"

-- name: forget_personas
DELETE FROM personas
