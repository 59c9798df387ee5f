-- Limits that an administrator has set here; they come before those of the environment.
CREATE TABLE limits (
    workspace text        NOT NULL,
    provider  text        NOT NULL,
    record    bytea       NOT NULL,
    set_by    text        NOT NULL,
    set_at    timestamptz NOT NULL,
    PRIMARY KEY (workspace, provider)
);

-- Who stands in line for an account: those with the fewest requests behind them first, where a
-- request goes to see whether a provider is back, and then the oldest.
ALTER TABLE wakeups ADD COLUMN rank integer NOT NULL DEFAULT 0;
DROP INDEX wakeups_waiting;
CREATE INDEX wakeups_waiting ON wakeups (waits_for, rank, queued_at) WHERE waits_for <> '';

-- A person wants it tried although its gate is closed.
ALTER TABLE wakeups ADD COLUMN insists boolean NOT NULL DEFAULT false;
