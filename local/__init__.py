"""The whole system on one machine: PostgreSQL, NATS, a small model, supervision, `parley`."""
