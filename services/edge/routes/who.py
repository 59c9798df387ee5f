"""Who may: the groups of roles that the table of addresses speaks of."""

from __future__ import annotations

from contracts.keys import Role

API = "/api/v1"

ANYBODY = None
READERS = frozenset(Role)
ASKERS = READERS - {Role.VIEWER}
MANAGERS = frozenset({Role.OWNER, Role.ADMIN})
OWNERS = frozenset({Role.OWNER})
