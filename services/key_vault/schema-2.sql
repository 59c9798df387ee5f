-- Secrets that are tried out before they are kept: a key's next version, or a key whose region is
-- being found. Lent for probes only; destroyed when the trial is over, whatever comes of it.
CREATE TABLE trials (
    key       text        NOT NULL,
    version   integer     NOT NULL,
    endpoint  text        NOT NULL,
    workspace text        NOT NULL,
    sealed    bytea,
    until     timestamptz NOT NULL,
    PRIMARY KEY (key, version, endpoint)
);
COMMENT ON TABLE trials IS 'rows outlast the trial without the secret: no version is given twice';
CREATE INDEX trials_until ON trials (until);

ALTER TABLE tokens
    ADD COLUMN issued_at timestamptz,
    ADD COLUMN issued_by text NOT NULL DEFAULT '';
CREATE INDEX tokens_of_workspace ON tokens (workspace, token);
