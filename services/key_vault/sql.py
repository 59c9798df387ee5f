"""The vault's SQL, by name."""

from pathlib import Path

from shared.database import queries
from shared.journal import SCHEMA as JOURNAL

_HERE = Path(__file__).parent

SQL = queries(_HERE / "queries.sql")
SCHEMA = (JOURNAL, *(_HERE / name for name in ("schema.sql", "schema-2.sql", "schema-3.sql")))
"""What makes the tables, in order."""
