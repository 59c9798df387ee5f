"""The folder in which one Parley keeps everything, and the lock that keeps two out of it."""

from __future__ import annotations

import fcntl
import os
import secrets
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import msgspec

CHECKOUT = Path(__file__).resolve().parent.parent
STATEFUL = ("key_vault", "discussion", "persona")
"""The services with a schema of their own in the database."""


class HomeRefused(Exception):
    """The home cannot be used now; the message says why and what to do."""


class Facts(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is running, for the other commands: `run.json`."""

    pid: int
    started_at: datetime
    url: str
    """Where people and programs reach Parley."""
    nats: str
    database: str
    """Where PostgreSQL is, without its password."""
    model: str = ""
    """Address of the demonstration model, if it runs."""
    processes: dict[str, int] = {}


@dataclass(frozen=True)
class Home:
    """Paths and secrets of one home."""

    path: Path

    @classmethod
    def chosen(cls) -> Home:
        """PARLEY_HOME, or `.parley` in the checkout."""
        given = os.environ.get("PARLEY_HOME")
        return cls(Path(given).expanduser().resolve() if given else CHECKOUT / ".parley")

    @property
    def owner_token(self) -> Path:
        """Written by key_vault at its first start."""
        return self.path / "owner-token"

    @property
    def kek(self) -> Path:
        """The vault's key-encryption key; whoever loses it has lost every stored key."""
        return self.path / "vault" / "kek"

    @property
    def obstacle(self) -> Path:
        """Why the last start failed, in words; not there if it did not."""
        return self.path / "last-start"

    @property
    def logs(self) -> Path:
        return self.path / "logs"

    @property
    def facts_file(self) -> Path:
        return self.path / "run.json"

    def prepare(self) -> None:
        """Make the folders, readable by nobody else."""
        try:
            for folder in (self.path, self.logs, self.kek.parent, self.path / "database"):
                folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            (self.path / ".writable").touch()
            (self.path / ".writable").unlink()
        except OSError as error:
            raise HomeRefused(
                f"{self.path} cannot be written to ({error.strerror}). "
                "Set PARLEY_HOME to a folder of yours, e.g. PARLEY_HOME=~/.parley make run"
            ) from error

    @contextmanager
    def locked(self) -> Generator[None]:
        """Hold the home. The kernel lets go of the lock however we end, so none can be stale."""
        with (self.path / "lock").open("a+") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise HomeRefused(
                    f"Parley runs already in {self.path} (process {self._holder()}). "
                    "Stop that one first, or run a second one with another home and port: "
                    "PARLEY_HOME=~/.parley-2 PARLEY_PORT=8081 make run"
                ) from None
            file.seek(0)
            file.truncate()
            file.write(f"{os.getpid()}\n")
            file.flush()
            yield

    def is_locked(self) -> bool:
        """Does a Parley run in this home?"""
        try:
            with (self.path / "lock").open("r+") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except FileNotFoundError:
            return False
        except OSError:
            return True
        return False

    def _holder(self) -> str:
        return (self.path / "lock").read_text().strip() or "unknown"

    def passwords(self) -> Mapping[str, str]:
        """Each stateful service's password to the database, made when there is none."""
        return {
            service: _kept_secret(self.path / "database" / f"{service}.password")
            for service in STATEFUL
        }

    def write_facts(self, facts: Facts) -> None:
        made = self.facts_file.with_suffix(".new")
        made.write_bytes(msgspec.json.format(msgspec.json.encode(facts)) + b"\n")
        made.replace(self.facts_file)

    def facts(self) -> Facts | None:
        """What runs, or ran until it was killed; None when it was stopped in good order."""
        try:
            return msgspec.json.decode(self.facts_file.read_bytes(), type=Facts)
        except (OSError, msgspec.MsgspecError):
            return None

    def token(self) -> str:
        """The owner's token, or nothing if it was not issued yet."""
        try:
            return self.owner_token.read_text().strip()
        except OSError:
            return ""


def _kept_secret(file: Path) -> str:
    if not file.exists():
        made = file.with_suffix(".new")
        made.unlink(missing_ok=True)
        made.touch(mode=0o600)
        made.write_text(secrets.token_urlsafe(24) + "\n")
        made.rename(file)
    return file.read_text().strip()
