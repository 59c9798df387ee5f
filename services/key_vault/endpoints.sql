-- Endpoints beside the built-in providers: a projection, can be made again from the journal.
CREATE TABLE endpoints (
    workspace text        NOT NULL,
    name      text        NOT NULL,
    row       bytea       NOT NULL,
    since     timestamptz NOT NULL,
    PRIMARY KEY (workspace, name)
);
COMMENT ON COLUMN endpoints.row IS 'contracts.endpoints.CustomProvider as JSON';
