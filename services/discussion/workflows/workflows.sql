-- Workflows and their runs, as lists show them. All of it can be made again from the journal.

CREATE TABLE workflows (
    workflow   text        PRIMARY KEY,
    workspace  text        NOT NULL,
    slug       text        NOT NULL,
    version    integer     NOT NULL,
    archived   boolean     NOT NULL,
    built_in   boolean     NOT NULL,
    definition bytea       NOT NULL,
    source     bytea       NOT NULL,
    updated_at timestamptz NOT NULL,
    UNIQUE (workspace, slug)
);

CREATE TABLE runs (
    run        text        PRIMARY KEY,
    workspace  text        NOT NULL,
    workflow   text        NOT NULL,
    slug       text        NOT NULL,
    title      bytea       NOT NULL,
    state      text        NOT NULL,
    version    bigint      NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL
);
CREATE INDEX runs_newest_first ON runs (workspace, run DESC);

-- Which run a discussion is a step of: the run hears of its end.
CREATE TABLE run_discussions (
    discussion text PRIMARY KEY,
    run        text NOT NULL,
    workspace  text NOT NULL
);
