"""Why a command makes no sense in the state that a ring is in."""

from __future__ import annotations

from services.key_vault.aggregate.states import Key


class Rejected(Exception):
    """The command makes no sense in this state; nothing happened."""


class AlreadyHere(Rejected):
    """The same key for the same endpoint is in the ring already."""

    def __init__(self, key: str) -> None:
        super().__init__(f"it is here already, as {key}")
        self.key = key


class NoSuchKey(Rejected):
    """The ring has no key of this name."""

    def __init__(self, key: str) -> None:
        super().__init__(f"there is no key {key}")
        self.key = key


class NotAsItIs(Rejected):
    """That cannot be done with a key in this state."""

    def __init__(self, key: Key) -> None:
        super().__init__(f"it is {type(key).__name__.lower()}")
        self.key = key.record.key
        self.state = type(key)


class Overtaken(Rejected):
    """A later secret was faster: the key has a newer version already."""

    def __init__(self, version: int) -> None:
        super().__init__(f"it is at version {version} already")
        self.version = version
