-- What `journal.py` asks. The tables, and `append`, are in `journal.sql`.

-- name: append
SELECT version, position, recorded_at FROM append($1, $2, $3, $4, $5, $6, $7, $8)

-- name: load
SELECT e.position, e.stream, e.version, e.id, e.data, e.meta, e.recorded_at, t.words
FROM events e LEFT JOIN texts t ON t.event = e.id
WHERE e.stream = $1 AND e.version > $2
ORDER BY e.version

-- name: read_all
SELECT e.position, e.stream, e.version, e.id, e.data, e.meta, e.recorded_at, t.words
FROM events e LEFT JOIN texts t ON t.event = e.id
WHERE e.position > $1
ORDER BY e.position
LIMIT $2

-- name: forget_words
DELETE FROM texts WHERE stream = $1
