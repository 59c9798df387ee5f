-- Endpoints beside the built-in providers, as key_vault's facts tell of them. One that was removed
-- stays, as a row without content: an older fact that comes late must not bring it back.
CREATE TABLE endpoints (
    workspace text        NOT NULL,
    name      text        NOT NULL,
    row       bytea,
    told_at   timestamptz NOT NULL,
    PRIMARY KEY (workspace, name)
);
