-- Whether the key shares the work with the others in use; and which account the provider has named
-- for this version of it, so that key_vault is told once.
ALTER TABLE keys
    ADD COLUMN pooled boolean NOT NULL DEFAULT false,
    ADD COLUMN seen   text    NOT NULL DEFAULT '';
