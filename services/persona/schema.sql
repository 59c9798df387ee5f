-- What persona keeps beside its journal; all of it can be made again from there.

-- Each persona as it is now. Its prompt is bytes: a person may paste NUL, which `text` refuses.
CREATE TABLE personas (
    workspace  text        NOT NULL,
    slug       text        NOT NULL,
    persona    text        NOT NULL,
    version    integer     NOT NULL,
    name       text        NOT NULL,
    title      text        NOT NULL,
    prompt     bytea       NOT NULL,
    model      text        NOT NULL,
    color      text        NOT NULL,
    built_in   boolean     NOT NULL,
    archived   boolean     NOT NULL DEFAULT false,
    updated_at timestamptz NOT NULL,
    PRIMARY KEY (workspace, slug)
);
