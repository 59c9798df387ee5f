"""The service's SQL, by name; see `queries.sql`."""

from __future__ import annotations

from pathlib import Path

from shared.database import queries

SQL = queries(Path(__file__).with_name("queries.sql"))
