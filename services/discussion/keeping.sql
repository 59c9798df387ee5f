-- What was said in each discussion, in small letters, to be found by its words. Bytes, as in `texts`;
-- it goes with them when the discussion is deleted.
CREATE TABLE said (
    discussion text   NOT NULL,
    version    bigint NOT NULL,
    words      bytea  NOT NULL,
    PRIMARY KEY (discussion, version)
);
