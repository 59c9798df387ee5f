"""The service's SQL, by name; see `queries.sql` and `money_queries.sql`."""

from __future__ import annotations

from pathlib import Path

from shared.database import queries

SQL = {
    **queries(Path(__file__).with_name("queries.sql")),
    **queries(Path(__file__).with_name("money_queries.sql")),
}
