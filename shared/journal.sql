-- The journal: what happened, for ever. One per service, in the service's own schema.
--
-- Positions are given out under a lock that is held until the commit, so their order is the order
-- of commits: whoever has read position n has seen everything before it, and `position > n` is all
-- a reader needs.

CREATE TABLE streams (
    stream  text   PRIMARY KEY,
    version bigint NOT NULL
);

CREATE TABLE events (
    position     bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    stream       text        NOT NULL,
    version      bigint      NOT NULL,
    id           uuid        NOT NULL UNIQUE,
    type         text        NOT NULL,
    subject      text        NOT NULL,
    data         bytea       NOT NULL,
    words_sha256 bytea,
    meta         bytea       NOT NULL,
    recorded_at  timestamptz NOT NULL,
    UNIQUE (stream, version)
);
COMMENT ON COLUMN events.data IS 'JSON without the words; bytes, since PostgreSQL''s text and jsonb refuse NUL';
COMMENT ON COLUMN events.words_sha256 IS 'sha256 of salt and words, kept when they are forgotten; NULL: it never had any';

-- What people and models said, apart from the structure, so that it can be forgotten.
CREATE TABLE texts (
    event  uuid  PRIMARY KEY,
    stream text  NOT NULL,
    salt   uuid  NOT NULL,
    words  bytea NOT NULL
);
CREATE INDEX texts_stream ON texts (stream);
COMMENT ON COLUMN texts.salt IS 'goes with the words: without it a short text could be guessed from its hash';

-- A queue, not a log: what has yet to be published.
CREATE TABLE outbox (
    position bigint PRIMARY KEY
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);

-- What can never be published; somebody was alerted.
CREATE TABLE outbox_quarantine (
    position bigint      PRIMARY KEY,
    reason   text        NOT NULL,
    since    timestamptz NOT NULL DEFAULT now()
);

-- Which messages of others had their effect already.
CREATE TABLE inbox (
    consumer text        NOT NULL,
    event    text        NOT NULL,
    seen_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (consumer, event)
);
CREATE INDEX inbox_seen_at ON inbox (seen_at);

-- What was answered to a command that may come twice.
CREATE TABLE commands (
    key         text        PRIMARY KEY,
    body_hmac   bytea       NOT NULL,
    reply       bytea       NOT NULL,
    answered_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX commands_answered_at ON commands (answered_at);

-- Writes events to the end of a stream whose version is `expected`; SQLSTATE PV001 if it is not.
CREATE FUNCTION append(
    p_stream text, p_expected bigint, p_meta bytea,
    p_ids uuid[], p_types text[], p_subjects text[], p_data bytea[], p_words bytea[]
) RETURNS TABLE (version bigint, "position" bigint, recorded_at timestamptz)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    matches boolean := true;
BEGIN
    -- All writers of this journal queue here until the commit, so append late in a transaction.
    -- Rows of streams are locked behind it only: two appends can never wait for each other.
    PERFORM pg_advisory_xact_lock(hashtextextended('parley journal ' || current_schema(), 0));

    -- Of several writers with one expectation one passes, here and nowhere else.
    IF p_expected = 0 THEN
        BEGIN
            INSERT INTO streams VALUES (p_stream, cardinality(p_ids));
        EXCEPTION WHEN unique_violation THEN
            matches := false;
        END;
    ELSE
        UPDATE streams SET version = version + cardinality(p_ids)
        WHERE stream = p_stream AND version = p_expected;
        matches := FOUND;
    END IF;
    IF NOT matches THEN
        RAISE 'stream % is not at version %', p_stream, p_expected USING ERRCODE = 'PV001';
    END IF;

    RETURN QUERY
    WITH given AS MATERIALIZED (
        SELECT *, CASE WHEN words IS NOT NULL THEN gen_random_uuid() END AS salt
        FROM unnest(p_ids, p_types, p_subjects, p_data, p_words)
             WITH ORDINALITY AS _(id, type, subject, data, words, nth)
    ), recorded AS (
        INSERT INTO events
            (stream, version, id, type, subject, data, words_sha256, meta, recorded_at)
        SELECT p_stream, p_expected + nth, id, type, subject, data,
               sha256(uuid_send(salt) || words), p_meta, clock_timestamp()
        FROM given ORDER BY nth
        RETURNING version, "position", recorded_at
    ), kept AS (
        INSERT INTO texts (event, stream, salt, words)
        SELECT id, p_stream, salt, words FROM given WHERE words IS NOT NULL
    ), queued AS (
        INSERT INTO outbox SELECT "position" FROM recorded
    )
    SELECT version, "position", recorded_at FROM recorded ORDER BY version;
END
$$;
