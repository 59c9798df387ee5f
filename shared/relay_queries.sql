-- What `relay.py` asks.

-- name: try_to_lead
SELECT pg_try_advisory_lock(hashtextextended('parley relay ' || current_schema(), 0))

-- name: next
-- In the order of commits, without the streams held back ($1); at most $2 events, and no more
-- once $3 bytes are full, so that long answers don't fill the memory.
WITH next AS (
    SELECT e.*
    FROM outbox JOIN events e USING (position)
    WHERE e.stream <> ALL ($1::text[])
    ORDER BY position
    LIMIT $2
), sized AS (
    SELECT next.*, t.words,
           sum(octet_length(data) + coalesce(octet_length(words), 0))
               OVER (ORDER BY position ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before
    FROM next LEFT JOIN texts t ON t.event = next.id
)
SELECT position, stream, version, id, type, subject, data, words, meta, recorded_at
FROM sized
WHERE before IS NULL OR before < $3
ORDER BY position

-- name: again
-- The same from the journal itself, after position $1.
WITH next AS (
    SELECT * FROM events WHERE position > $1 ORDER BY position LIMIT $2
), sized AS (
    SELECT next.*, t.words,
           sum(octet_length(data) + coalesce(octet_length(words), 0))
               OVER (ORDER BY position ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before
    FROM next LEFT JOIN texts t ON t.event = next.id
)
SELECT position, stream, version, id, type, subject, data, words, meta, recorded_at
FROM sized
WHERE before IS NULL OR before < $3
ORDER BY position

-- name: done
DELETE FROM outbox WHERE position = ANY ($1::bigint[])

-- name: quarantine
WITH gone AS (
    DELETE FROM outbox WHERE position = $1 RETURNING position
)
INSERT INTO outbox_quarantine (position, reason) SELECT position, $2 FROM gone
