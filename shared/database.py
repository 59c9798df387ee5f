"""The road to PostgreSQL: one database, and in it one closed room (schema) for each service.

`prepare` makes the rooms and their keys, `migrate` furnishes one, `connect` opens its door. What
fails is never tried again in here: whoever asked decides.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import re
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import TypeAlias, cast
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit, urlunsplit

import asyncpg

from contracts.ids import token

# As text: asyncpg's classes are generic for the type checker only.
Connection: TypeAlias = (
    "asyncpg.Connection[asyncpg.Record] | asyncpg.pool.PoolConnectionProxy[asyncpg.Record]"
)
Pool: TypeAlias = "asyncpg.Pool[asyncpg.Record]"

AWAY = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.InterfaceError,
    # A statement on a connection that the server has just ended: asyncpg 0.32 has read its farewell
    # but not yet noticed the end.
    asyncpg.InternalClientError,
)
"""What a statement may raise because the server is away or full, not because of the statement."""

_STATEMENT = timedelta(seconds=30)
_IDLE_IN_TRANSACTION = timedelta(seconds=30)
# A server that is gone says nothing; longer than its own limit, so that it may speak first.
_SILENCE = _STATEMENT + timedelta(seconds=5)
_CONNECTING = timedelta(seconds=10)
_MIGRATING = timedelta(hours=1)
_SCRAM_ROUNDS = 4096


class TakenServer(Exception):
    """Another Parley lives on this server, and would be shut out: the text says what to do."""


class MissingRight(Exception):
    """The administrator of the database lacks a right; the message says which and how to get it."""


class ChangedMigration(Exception):
    """An SQL file that was applied before has changed since: add a new file instead."""

    def __init__(self, service: str, name: str) -> None:
        super().__init__(
            f"{name} of {service} was applied as something else. "
            "Restore it and put what is new into a new file."
        )
        self.service = service
        self.name = name


# --- connecting -----------------------------------------------------------------------------


def role(service: str) -> str:
    """The role that owns the service's schema."""
    return f"parley_{token(service)}"


def service_dsn(admin_dsn: str, service: str, password: str) -> str:
    """The same database as `admin_dsn` names, entered as the service."""
    url = urlsplit(admin_dsn)
    place = url.netloc.rpartition("@")[2]
    query = [(name, value) for name, value in parse_qsl(url.query) if name not in _WHO]
    netloc = f"{role(service)}:{quote(password, safe='')}@{place}"
    return urlunsplit((url.scheme, netloc, url.path, urlencode(query, safe="/"), ""))


_WHO = ("user", "password", "passfile")


async def connect(dsn: str, schema: str, *, largest: int = 10) -> Pool:
    """A pool of connections that see `schema` and nothing else. Close it when done."""
    return await asyncpg.create_pool(
        dsn,
        min_size=1,
        max_size=largest,
        timeout=_CONNECTING.total_seconds(),
        command_timeout=_SILENCE.total_seconds(),
        server_settings=_session(schema),
    )


async def connect_alone(dsn: str, schema: str, purpose: str) -> asyncpg.Connection[asyncpg.Record]:
    """A connection outside any pool: a pool gives up session locks when one comes back to it."""
    return await asyncpg.connect(
        dsn,
        timeout=_CONNECTING.total_seconds(),
        command_timeout=_SILENCE.total_seconds(),
        server_settings=_session(schema) | {"application_name": f"parley {schema} {purpose}"},
    )


def _session(schema: str) -> dict[str, str]:
    milliseconds = timedelta(milliseconds=1)
    return {
        "application_name": f"parley {schema}",
        "search_path": f"{token(schema)}, pg_temp",
        "timezone": "UTC",
        "jit": "off",
        "statement_timeout": str(_STATEMENT // milliseconds),
        "idle_in_transaction_session_timeout": str(_IDLE_IN_TRANSACTION // milliseconds),
        # A machine that vanished keeps its locks for half a minute, not for PostgreSQL's two hours.
        "tcp_keepalives_idle": "15",
        "tcp_keepalives_interval": "5",
        "tcp_keepalives_count": "3",
    }


@asynccontextmanager
async def transaction(pool: Pool) -> AsyncGenerator[Connection]:
    """All of it or nothing: committed at the end, rolled back by an exception."""
    async with pool.acquire() as connection, connection.transaction():
        yield connection


# --- making the rooms -----------------------------------------------------------------------


async def prepare(admin_dsn: str, passwords: Mapping[str, str]) -> None:
    """Make the database, and for each service a role with its password and a schema it owns.

    Nobody else may look inside, not even connect. Doing it again changes nothing but passwords.
    Roles belong to the whole server: a new database beside another Parley's is refused
    (`TakenServer`) unless it brings the same passwords.
    """
    connection = await _enter(admin_dsn)
    try:
        await _check_neighbours(connection, admin_dsn, passwords)
        async with connection.transaction():
            await connection.execute(
                "SELECT pg_advisory_xact_lock(hashtextextended('parley prepare', 0))"
            )
            await _check_rights(connection, passwords)
            database = quoted(await connection.fetchval("SELECT current_database()"))
            await connection.execute(f"REVOKE ALL ON DATABASE {database} FROM PUBLIC")
            if await connection.fetchval("SELECT to_regnamespace('public') IS NOT NULL"):
                # Its owner may be somebody else (a hosted database); then it stays as it is.
                await connection.execute("REVOKE ALL ON SCHEMA public FROM PUBLIC")
            for service, password in passwords.items():
                await _make_room(connection, database, service, password)
    except asyncpg.InsufficientPrivilegeError as error:
        raise MissingRight(f"The administrator's role may not do this: {error}.") from error
    finally:
        await connection.close()


async def _enter(admin_dsn: str) -> asyncpg.Connection[asyncpg.Record]:
    timeout = _CONNECTING.total_seconds()
    try:
        return await asyncpg.connect(admin_dsn, timeout=timeout)
    except asyncpg.InvalidCatalogNameError:
        pass
    name = unquote(urlsplit(admin_dsn).path.lstrip("/"))
    neighbour = await asyncpg.connect(admin_dsn, database="postgres", timeout=timeout)
    try:
        await neighbour.execute(f"CREATE DATABASE {quoted(name)}")
    except asyncpg.DuplicateDatabaseError:
        pass  # somebody else was faster
    except asyncpg.InsufficientPrivilegeError as error:
        raise MissingRight(
            f"There is no database {name}, and the administrator's role may not make one: "
            "create it, or give the role CREATEDB."
        ) from error
    finally:
        await neighbour.close()
    return await asyncpg.connect(admin_dsn, timeout=timeout)


async def _check_neighbours(
    connection: Connection, admin_dsn: str, passwords: Mapping[str, str]
) -> None:
    living = await connection.fetch(
        """
        SELECT DISTINCT datname FROM pg_database, aclexplode(datacl)
        WHERE grantee IN (SELECT oid FROM pg_roles WHERE rolname = ANY($1))
        """,
        [role(service) for service in passwords],
    )
    databases = sorted(row["datname"] for row in living)
    here = await connection.fetchval("SELECT current_database()")
    if not databases or here in databases:
        return
    for service, password in passwords.items():
        try:
            same = await asyncpg.connect(service_dsn(admin_dsn, service, password))
        except asyncpg.InvalidPasswordError as error:
            raise TakenServer(
                f"Another Parley lives on this PostgreSQL server, in the database {databases[0]}. "
                "Roles belong to the server, so this one would change the passwords under it. "
                "Give this one a server of its own; or, if the other is no more, drop its database."
            ) from error
        except asyncpg.InsufficientPrivilegeError:
            continue  # The password is right; to enter is what it is about to be allowed.
        await same.close()


async def _check_rights(connection: Connection, passwords: Mapping[str, str]) -> None:
    row = await connection.fetchrow(
        """
        SELECT current_user AS me, current_database() AS database,
               rolsuper OR pg_has_role(datdba, 'MEMBER') AS owns,
               rolsuper OR rolcreaterole AS makes,
               ARRAY(SELECT wanted FROM unnest($1::text[]) AS wanted
                     WHERE to_regrole(quote_ident(wanted)) IS NULL) AS missing
        FROM pg_roles, pg_database
        WHERE rolname = current_user AND datname = current_database()
        """,
        [role(service) for service in passwords],
    )
    assert row is not None
    me, database = quoted(row["me"]), quoted(row["database"])
    if not row["owns"]:
        raise MissingRight(
            f"{me} does not own the database {database}, so it cannot keep others out: "
            f"ALTER DATABASE {database} OWNER TO {me}."
        )
    if row["missing"] and not row["makes"]:
        raise MissingRight(
            f"{me} may not make the roles {', '.join(row['missing'])}: ALTER ROLE {me} CREATEROLE."
        )


async def _make_room(connection: Connection, database: str, service: str, password: str) -> None:
    name, schema = role(service), token(service)
    known = await connection.fetchval("SELECT 1 FROM pg_roles WHERE rolname = $1", name)
    verb = "ALTER" if known else "CREATE"
    await connection.execute(f"{verb} ROLE {name} LOGIN PASSWORD '{_scram(password)}'")
    await connection.execute(f"GRANT CONNECT ON DATABASE {database} TO {name}")
    owner = await connection.fetchval(
        "SELECT nspowner::regrole::text FROM pg_namespace WHERE nspname = $1", schema
    )
    if owner is None:
        await _make_schema(connection, schema, name)
    elif owner != name:
        raise MissingRight(
            f"The schema {schema} belongs to {owner}: ALTER SCHEMA {schema} OWNER TO {name}."
        )


async def _make_schema(connection: Connection, schema: str, owner: str) -> None:
    if await connection.fetchval("SELECT pg_has_role($1, 'SET')", owner):
        await connection.execute(f"CREATE SCHEMA {schema} AUTHORIZATION {owner}")
        return
    # Since PostgreSQL 16 even who made a role may not act for it, unless it says so.
    await connection.execute(f"GRANT {owner} TO CURRENT_USER WITH INHERIT FALSE, SET TRUE")
    await connection.execute(f"CREATE SCHEMA {schema} AUTHORIZATION {owner}")
    await connection.execute(f"REVOKE {owner} FROM CURRENT_USER")


def _scram(password: str) -> str:
    """What the server keeps of a password (RFC 5803), made here: so it is in no server log."""
    salt = os.urandom(16)
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, _SCRAM_ROUNDS)
    client_key = hmac.digest(salted, b"Client Key", "sha256")
    server_key = hmac.digest(salted, b"Server Key", "sha256")
    stored, server, salt64 = (
        base64.b64encode(part).decode()
        for part in (hashlib.sha256(client_key).digest(), server_key, salt)
    )
    return f"SCRAM-SHA-256${_SCRAM_ROUNDS}:{salt64}${stored}:{server}"


def quoted(identifier: str) -> str:
    """A name as SQL takes it, whatever is in it."""
    return '"' + identifier.replace('"', '""') + '"'


# --- furnishing one -------------------------------------------------------------------------

_MIGRATIONS = """
CREATE TABLE IF NOT EXISTS migrations (
    name       text        PRIMARY KEY,
    sha256     bytea       NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
)
"""


async def migrate(pool: Pool, service: str, files: Sequence[Path]) -> list[str]:
    """Apply the SQL files that were not applied yet, in order, all or none; answers their names.

    A file's name is its identity for ever, and once applied it must not change.
    """
    texts = {file.name: file.read_bytes() for file in files}
    assert len(texts) == len(files), "two files of the same name"
    applied: list[str] = []
    async with transaction(pool) as connection:
        await connection.execute("SET LOCAL statement_timeout = 0")
        await connection.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended('parley migrate ' || $1, 0))", service
        )
        if not await connection.fetchval("SELECT to_regclass('migrations') IS NOT NULL"):
            await connection.execute(_MIGRATIONS)
        rows = await connection.fetch("SELECT name, sha256 FROM migrations")
        known = {cast(str, row["name"]): cast(bytes, row["sha256"]) for row in rows}
        for name, text in texts.items():
            sha256 = hashlib.sha256(text).digest()
            if name not in known:
                await connection.execute(text.decode(), timeout=_MIGRATING.total_seconds())
                await connection.execute("INSERT INTO migrations VALUES ($1, $2)", name, sha256)
                applied.append(name)
            elif known[name] != sha256:
                raise ChangedMigration(service, name)
    return applied


# --- asking ---------------------------------------------------------------------------------

_NAME = re.compile(r"^-- name: (\w+)[ \t]*$", re.MULTILINE)


def queries(path: Path) -> dict[str, str]:
    """The statements of an SQL file by name. Each begins with a line `-- name: due_wakeups`."""
    before, *parts = _NAME.split(path.read_text())
    names = parts[::2]
    assert not before.strip() or before.lstrip().startswith("--"), f"{path}: SQL without a name"
    assert len(set(names)) == len(names), f"{path}: two statements of the same name"
    return {name: text.strip() for name, text in zip(names, parts[1::2], strict=True)}
