"""The vault's SQL, by name."""

from pathlib import Path

from shared.database import queries
from shared.journal import SCHEMA as JOURNAL

_HERE = Path(__file__).parent

SQL = queries(_HERE / "queries.sql")
SCHEMA = (JOURNAL, _HERE / "schema.sql", _HERE / "schema-2.sql", _HERE / "endpoints.sql")
"""What makes the tables, in order."""
