-- The ledger and the budgets; read with `queries.sql`.

-- name: enter
INSERT INTO ledger
    (attempt, workspace, discussion, run, turn, provider, model, persona, token, started_at, price,
     question, held)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)

-- name: find_entry
SELECT * FROM ledger WHERE attempt = $1 FOR UPDATE

-- name: open_entries
SELECT * FROM ledger WHERE discussion = $1 AND turn = $2 AND status = 'open'
ORDER BY attempt
FOR UPDATE

-- name: settle_entry
UPDATE ledger
SET status = $2, ended = $3, day = $4, input_tokens = $5, output_tokens = $6,
    reasoning_tokens = $7, cached_tokens = $8, amount = $9, charged = $10
WHERE attempt = $1

-- name: add_to_day
INSERT INTO ledger_days AS sum
    (workspace, day, provider, model, persona, token, status, currency, requests, input_tokens,
     output_tokens, reasoning_tokens, cached_tokens, unpriced, amount, charged)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)
ON CONFLICT (workspace, day, provider, model, persona, token, status, currency) DO UPDATE
SET requests = sum.requests + excluded.requests,
    input_tokens = sum.input_tokens + excluded.input_tokens,
    output_tokens = sum.output_tokens + excluded.output_tokens,
    reasoning_tokens = sum.reasoning_tokens + excluded.reasoning_tokens,
    cached_tokens = sum.cached_tokens + excluded.cached_tokens,
    unpriced = sum.unpriced + excluded.unpriced,
    amount = sum.amount + excluded.amount,
    charged = sum.charged + excluded.charged

-- name: usage_by
SELECT CASE $4
           WHEN 'day' THEN to_char(day, 'YYYY-MM-DD')
           WHEN 'model' THEN provider || '/' || model
           WHEN 'persona' THEN persona
           ELSE token
       END AS key,
       status, currency,
       sum(requests)::bigint AS requests,
       sum(input_tokens)::bigint AS input_tokens,
       sum(output_tokens)::bigint AS output_tokens,
       sum(reasoning_tokens)::bigint AS reasoning_tokens,
       sum(cached_tokens)::bigint AS cached_tokens,
       sum(unpriced)::bigint AS unpriced,
       sum(amount) AS amount
FROM ledger_days
WHERE workspace = $1 AND day BETWEEN $2 AND $3
GROUP BY 1, 2, 3
HAVING sum(requests) > 0
ORDER BY 1, 2, 3

-- name: hold_budgets
-- All that bound a request, in one order for everybody.
SELECT * FROM budgets
WHERE workspace = $1
  AND ((scope = 'workspace' AND subject = '')
    OR (scope = 'token' AND subject = $2)
    OR (scope = 'discussion' AND subject = $3)
    OR (scope = 'run' AND subject = $4))
ORDER BY scope, subject
FOR UPDATE

-- name: bounds
SELECT * FROM budgets
WHERE workspace = $1
  AND ((scope = 'workspace' AND subject = '')
    OR (scope = 'token' AND subject = $2)
    OR (scope = 'discussion' AND subject = $3)
    OR (scope = 'run' AND subject = $4))
ORDER BY scope, subject

-- name: list_budgets
SELECT * FROM budgets
WHERE workspace = $1
  AND CASE WHEN $2 = '' THEN scope IN ('workspace', 'token')
           ELSE scope = $2 AND subject = $3 END
ORDER BY scope DESC, subject

-- name: set_budget
INSERT INTO budgets (workspace, scope, subject, amount, period, strict, set_by, set_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
ON CONFLICT (workspace, scope, subject) DO UPDATE
    SET amount = excluded.amount, period = excluded.period, strict = excluded.strict,
        set_by = excluded.set_by, set_at = excluded.set_at

-- name: remove_budget
DELETE FROM budgets WHERE workspace = $1 AND scope = $2 AND subject = $3

-- name: stand_of_house
-- What is spent and what is held, in one statement: what is settled meanwhile is either still held
-- or spent already, and never neither.
SELECT coalesce(sum(charged), 0) AS spent, coalesce(sum(unpriced), 0)::bigint AS unpriced,
       (SELECT coalesce(sum(held), 0) FROM ledger
        WHERE workspace = $1 AND status = 'open' AND ($3 = '' OR token = $3)) AS held
FROM ledger_days
WHERE workspace = $1 AND day >= $2 AND ($3 = '' OR token = $3)

-- name: stand_of_discussion
SELECT coalesce(sum(charged), 0) AS spent,
       count(*) FILTER (WHERE amount IS NULL AND status NOT IN ('open', 'unsent')) AS unpriced,
       coalesce(sum(held) FILTER (WHERE status = 'open'), 0) AS held
FROM ledger
WHERE workspace = $1 AND discussion = $2

-- name: stand_of_run
SELECT coalesce(sum(charged), 0) AS spent,
       count(*) FILTER (WHERE amount IS NULL AND status NOT IN ('open', 'unsent')) AS unpriced,
       coalesce(sum(held) FILTER (WHERE status = 'open'), 0) AS held
FROM ledger
WHERE workspace = $1 AND run = $2 AND run <> ''
