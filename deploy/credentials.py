"""Make every secret of a deployment, once: `python -m deploy.credentials FOLDER`.

Each service gets a folder of its own with its key to the broker and its password for the
database, so that it can be given that folder and no other. What is already there stays: a second
run changes nothing. The services' user is the one that reads them.
"""

from __future__ import annotations

import os
import secrets
import sys
from collections.abc import Mapping
from pathlib import Path

import nkeys

from contracts.subjects import ADMIN, INTEGRATION, SERVICES
from shared.topology import broker_config

READER = 10001
"""The user that the images run as (Dockerfile)."""
STATEFUL = ("key_vault", "discussion", "persona")
"""Services with a schema of their own."""


def make(folder: Path, *, listen: str, store: Path) -> None:
    """Fill `folder`: one folder per service, and `broker`, `database`, `admin`, `integration`."""
    credentials = (*SERVICES, ADMIN, INTEGRATION)
    public = {name: _broker_key(_room(folder, name) / "nats.nk") for name in credentials}
    for service in STATEFUL:
        password = _password(_room(folder, ADMIN) / f"{service}.password")
        # asyncpg refuses a pgpass file that others may read, and so keeps it out of every log.
        _write(_room(folder, service) / "pgpass", f"*:*:*:parley_{service}:{password}\n")
    owner = _password(_room(folder, ADMIN) / "postgres.password")
    _write(_room(folder, ADMIN) / "pgpass", f"*:*:*:postgres:{owner}\n")
    # The official images run as users of their own; each sees only its own folder.
    _write(_room(folder, "database", mode=0o755) / "password", owner, mode=0o444)
    _write(
        _room(folder, "broker", mode=0o755) / "nats-server.conf",
        broker_config(public, listen=listen, store=store),
        mode=0o444,
    )


def passwords(folder: Path) -> Mapping[str, str]:
    """The database password of each service that has one, as `make` left them."""
    return {
        service: (folder / f"{service}.password").read_text(encoding="utf-8").strip()
        for service in STATEFUL
    }


def _room(folder: Path, name: str, mode: int = 0o700) -> Path:
    room = folder / name
    room.mkdir(parents=True, exist_ok=True)
    room.chmod(mode)
    _give(room)
    return room


def _password(file: Path) -> str:
    if not file.exists():
        _write(file, secrets.token_urlsafe(32))
    return file.read_text(encoding="utf-8").strip()


def _broker_key(file: Path) -> str:
    """The public half of the key in `file`; both are made when there is none."""
    if not file.exists():
        seed = nkeys.encode_seed(secrets.token_bytes(32), nkeys.PREFIX_BYTE_USER)
        _write(file, bytes(seed).decode())
    pair = nkeys.from_seed(bytearray(file.read_bytes().strip()))
    return bytes(pair.public_key).decode()


def _write(file: Path, text: str, mode: int = 0o600) -> None:
    """Whole or not at all, and never readable by others for a moment."""
    made = file.with_name(f"{file.name}.new")
    made.unlink(missing_ok=True)
    made.touch(mode=0o600)
    made.write_text(text, encoding="utf-8")
    made.chmod(mode)
    _give(made)
    made.replace(file)


def _give(path: Path) -> None:
    if os.geteuid() == 0:
        os.chown(path, READER, READER)


if __name__ == "__main__":
    make(Path(sys.argv[1]), listen="0.0.0.0:4222", store=Path("/data"))
    print("credentials are made")
