-- When key_vault stated what is known of a key: its facts may arrive in another order.
ALTER TABLE keys ADD COLUMN told_at timestamptz NOT NULL DEFAULT '-infinity';
