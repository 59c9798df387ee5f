-- Keys that share the work with the others in use.
ALTER TABLE keys ADD COLUMN pool boolean NOT NULL DEFAULT false;

-- In words, as long as the account cannot pay.
ALTER TABLE keys ADD COLUMN balance text NOT NULL DEFAULT '';

-- The other keys in use of the same account: what one of them does counts for all of them.
CREATE FUNCTION shares_of(one keys) RETURNS text[] LANGUAGE sql STABLE AS $$
    SELECT ARRAY(
        SELECT other.key FROM keys other
        WHERE other.workspace = one.workspace AND other.provider = one.provider
          AND other.endpoint = one.endpoint AND other.account = one.account
          AND other.account <> '' AND other.key <> one.key
          AND other.state IN ('active', 'suspect')
        ORDER BY other.key)
$$;

-- Whoever is asking a provider about a key right now, and until when at most: so that no two do.
CREATE TABLE questions (
    key   text        PRIMARY KEY,
    until timestamptz NOT NULL
);
