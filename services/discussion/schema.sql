-- What discussion keeps beside its journal. All of it but `wakeups`, `attempts`, `accounts` and
-- `gates` can be made again from the journal.

-- The one clock of every decision. Tests replace it.
CREATE FUNCTION clock() RETURNS timestamptz LANGUAGE sql VOLATILE AS 'SELECT clock_timestamp()';

-- What the list shows. Title and search text are bytes: a model may say NUL.
CREATE TABLE discussions (
    discussion text        PRIMARY KEY,
    workspace  text        NOT NULL,
    state      text        NOT NULL,
    mode       text        NOT NULL,
    title      bytea       NOT NULL,
    search     bytea       NOT NULL,
    version    bigint      NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL
);
CREATE INDEX discussions_newest_first ON discussions (workspace, discussion DESC);

-- Every timer there is. A parked turn has `due_at` infinity and `waits_for` its gate.
CREATE TABLE wakeups (
    kind          text        NOT NULL,
    subject       text        NOT NULL,
    workspace     text        NOT NULL,
    discussion    text        NOT NULL DEFAULT '',
    due_at        timestamptz NOT NULL,
    queued_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    claimed_until timestamptz NOT NULL DEFAULT '-infinity',
    tries         integer     NOT NULL DEFAULT 0,
    waits_for     text        NOT NULL DEFAULT '',
    payload       bytea       NOT NULL DEFAULT '',
    PRIMARY KEY (kind, subject)
);
CREATE INDEX wakeups_due ON wakeups (due_at);
CREATE INDEX wakeups_waiting ON wakeups (waits_for, queued_at) WHERE waits_for <> '';

-- Attempts that have begun and not ended: who holds which place in which account.
CREATE TABLE attempts (
    attempt     text        PRIMARY KEY,
    workspace   text        NOT NULL,
    discussion  text        NOT NULL,
    turn        text        NOT NULL,
    provider    text        NOT NULL,
    model       text        NOT NULL,
    endpoint    text        NOT NULL,
    account     text        NOT NULL,
    key         text        NOT NULL,
    key_version integer     NOT NULL,
    started_at  timestamptz NOT NULL
);

-- One row for each account at a provider: rate, places, silence. Locked to admit a request.
CREATE TABLE accounts (
    workspace text  NOT NULL,
    provider  text  NOT NULL,
    endpoint  text  NOT NULL,
    account   text  NOT NULL,
    record    bytea NOT NULL,
    PRIMARY KEY (workspace, provider, endpoint, account)
);

-- Closed gates: what must not be asked until something is mended.
CREATE TABLE gates (
    workspace text        NOT NULL,
    gate      text        NOT NULL,
    provider  text        NOT NULL,
    failure   bytea       NOT NULL,
    closed_at timestamptz NOT NULL,
    PRIMARY KEY (workspace, gate)
);

-- What key_vault's facts say, as far as it matters here.
CREATE TABLE keys (
    key          text        PRIMARY KEY,
    workspace    text        NOT NULL,
    version      integer     NOT NULL,
    provider     text        NOT NULL,
    endpoint     text        NOT NULL,
    account      text        NOT NULL,
    state        text        NOT NULL,
    activated_at timestamptz
);
CREATE INDEX keys_of_provider ON keys (workspace, provider, key DESC);

-- What each key was last seen to offer; `key` is empty for a provider that takes none.
CREATE TABLE catalogs (
    workspace    text        NOT NULL,
    provider     text        NOT NULL,
    endpoint     text        NOT NULL,
    key          text        NOT NULL,
    models       bytea       NOT NULL,
    refreshed_at timestamptz NOT NULL,
    PRIMARY KEY (workspace, provider, endpoint, key)
);
