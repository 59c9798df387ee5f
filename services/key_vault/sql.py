"""The vault's SQL, by name."""

from pathlib import Path

from shared.database import queries
from shared.journal import SCHEMA as JOURNAL

_HERE = Path(__file__).parent

SQL = queries(_HERE / "queries.sql")
_NAMES = ("schema.sql", "schema-2.sql", "schema-3.sql", "endpoints.sql")
SCHEMA = (JOURNAL, *(_HERE / name for name in _NAMES))
"""What makes the tables, in order."""
