-- What requests have cost, and what may be spent.

-- One row for each request, from the moment it is permitted: until it has ended, what it may cost
-- at most is held; then the row says what it did cost, and how that is known.
CREATE TABLE ledger (
    attempt          text        PRIMARY KEY,
    workspace        text        NOT NULL,
    discussion       text        NOT NULL,
    run              text        NOT NULL DEFAULT '',
    turn             text        NOT NULL,
    provider         text        NOT NULL,
    model            text        NOT NULL,
    persona          text        NOT NULL DEFAULT '',
    token            text        NOT NULL DEFAULT '',
    started_at       timestamptz NOT NULL,
    price            bytea,                         -- JSON; NULL: not known
    question         bigint      NOT NULL DEFAULT 0, -- tokens of it, as estimated
    held             numeric,                       -- USD; NULL: has no price
    status           text        NOT NULL DEFAULT 'open',
    ended            text        NOT NULL DEFAULT '',
    day              date,
    input_tokens     bigint      NOT NULL DEFAULT 0,
    output_tokens    bigint      NOT NULL DEFAULT 0,
    reasoning_tokens bigint      NOT NULL DEFAULT 0,
    cached_tokens    bigint      NOT NULL DEFAULT 0,
    amount           numeric,                       -- NULL: not known
    charged          numeric     NOT NULL DEFAULT 0, -- to the budgets
    CONSTRAINT ledger_status
        CHECK (status IN ('open', 'measured', 'estimated', 'unknown', 'unsent'))
);
CREATE INDEX ledger_of_discussion ON ledger (discussion);
CREATE INDEX ledger_of_run ON ledger (run) WHERE run <> '';
CREATE INDEX ledger_open ON ledger (workspace) WHERE status = 'open';

-- The same, added up. What is measured, estimated and unknown are rows of their own, and so is each
-- currency. It can be made again from the ledger, and from the journal.
CREATE TABLE ledger_days (
    workspace        text    NOT NULL,
    day              date    NOT NULL,
    provider         text    NOT NULL,
    model            text    NOT NULL,
    persona          text    NOT NULL,
    token            text    NOT NULL,
    status           text    NOT NULL,
    currency         text    NOT NULL,
    requests         bigint  NOT NULL,
    input_tokens     bigint  NOT NULL,
    output_tokens    bigint  NOT NULL,
    reasoning_tokens bigint  NOT NULL,
    cached_tokens    bigint  NOT NULL,
    unpriced         bigint  NOT NULL,
    amount           numeric NOT NULL,
    charged          numeric NOT NULL,
    PRIMARY KEY (workspace, day, provider, model, persona, token, status, currency)
);

-- What people have allowed; what is spent and held of it is in the ledger.
CREATE TABLE budgets (
    workspace text        NOT NULL,
    scope     text        NOT NULL,
    subject   text        NOT NULL,
    amount    numeric     NOT NULL,
    period    text        NOT NULL,
    strict    boolean     NOT NULL,
    set_by    text        NOT NULL,
    set_at    timestamptz NOT NULL,
    PRIMARY KEY (workspace, scope, subject)
);

-- Requests that are being made while this is installed end in the ledger, too.
INSERT INTO ledger (attempt, workspace, discussion, turn, provider, model, started_at)
SELECT attempt, workspace, discussion, turn, provider, model, started_at FROM attempts;
