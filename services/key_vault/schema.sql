-- What the vault remembers besides its journal.

-- The vault's own private keys, under the KEK. One row for ever, the same for every replica.
CREATE TABLE identity (
    only_one boolean     PRIMARY KEY DEFAULT true CHECK (only_one),
    sealed   bytea       NOT NULL,
    made_at  timestamptz NOT NULL DEFAULT now()
);

-- The provider keys themselves, each under a key of its own. Not in the journal: a secret can be
-- destroyed, a fact cannot.
CREATE TABLE secrets (
    key     text    NOT NULL,
    version integer NOT NULL,
    sealed  bytea   NOT NULL,
    PRIMARY KEY (key, version)
);

-- SHA-256 of each access token; the token itself is nowhere.
CREATE TABLE token_hashes (
    hash  bytea PRIMARY KEY,
    token text  NOT NULL UNIQUE
);

-- Every loan of a key, written before the key is handed out: no row, no key.
CREATE TABLE leases (
    id         bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at         timestamptz NOT NULL DEFAULT now(),
    workspace  text        NOT NULL,
    key        text        NOT NULL,
    version    integer     NOT NULL,
    endpoint   text        NOT NULL,
    request    text        NOT NULL,
    purpose    text        NOT NULL,
    expires_at timestamptz NOT NULL
);
CREATE INDEX leases_at ON leases (at);
COMMENT ON COLUMN leases.request IS 'the attempt or probe that it was for';

-- Keys about which a provider is still to be asked, and when.
CREATE TABLE checks (
    key       text        PRIMARY KEY,
    workspace text        NOT NULL,
    due       timestamptz NOT NULL,
    tries     integer     NOT NULL DEFAULT 0
);
CREATE INDEX checks_due ON checks (due);

-- What came from the environment at the first start, by fingerprint.
CREATE TABLE handovers (
    provider    text PRIMARY KEY,
    fingerprint text NOT NULL
);

-- What is done once in the life of a vault.
CREATE TABLE milestones (
    name text        PRIMARY KEY,
    at   timestamptz NOT NULL DEFAULT now()
);

-- Projections: can be dropped and made again from the journal. -----------------------------------

CREATE TABLE keys (
    key          text        PRIMARY KEY,
    workspace    text        NOT NULL,
    provider     text        NOT NULL,
    version      integer     NOT NULL,
    state        text        NOT NULL,
    endpoint     text        NOT NULL,
    region       text        NOT NULL,
    fingerprint  text        NOT NULL,
    label        text        NOT NULL,
    account      text        NOT NULL DEFAULT '',
    since        timestamptz NOT NULL,
    activated_at timestamptz,
    proven       boolean     NOT NULL DEFAULT false,
    reason       text        NOT NULL DEFAULT '',
    next_step    text        NOT NULL DEFAULT ''
);
CREATE INDEX keys_of_workspace ON keys (workspace, provider, key);

CREATE TABLE tokens (
    token      text        PRIMARY KEY,
    workspace  text        NOT NULL,
    role       text        NOT NULL,
    label      text        NOT NULL,
    expires_at timestamptz,
    revoked_at timestamptz
);
