-- The oldest turn stands first, however often it has been tried: its id tells when it was asked for.
-- Since when its wake-up is there does not, for each attempt makes it anew.
DROP INDEX wakeups_waiting;
CREATE INDEX wakeups_waiting ON wakeups (waits_for, rank, subject) WHERE waits_for <> '';
ALTER TABLE wakeups DROP COLUMN queued_at;
