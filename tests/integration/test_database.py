"""Each service has a room of its own in the database, and nobody else has its key."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path

import asyncpg
import pytest

from shared.database import (
    ChangedMigration,
    MissingRight,
    TakenServer,
    connect,
    migrate,
    prepare,
    queries,
    service_dsn,
)
from tests.databases import PASSWORDS, Database, at

SERVICES = tuple(PASSWORDS)


@pytest.fixture
async def admin(database: Database) -> AsyncGenerator[asyncpg.Connection[asyncpg.Record]]:
    connection = await asyncpg.connect(database.admin_dsn)
    yield connection
    await connection.close()


# --- rooms ------------------------------------------------------------------------------------


async def test_preparing_twice_changes_nothing(database: Database) -> None:
    pool = await database.pool("discussion")
    await pool.execute("INSERT INTO inbox VALUES ('any', 'thing')")
    for _ in range(2):
        await prepare(database.admin_dsn, PASSWORDS)
    assert await pool.fetchval("SELECT count(*) FROM inbox") == 1
    again = await asyncpg.connect(database.dsn("discussion"))
    await again.close()


async def test_a_database_that_is_missing_is_made(database: Database) -> None:
    name = 'parley "of" tests'
    dsn = at(database.admin_dsn, "parley%20%22of%22%20tests")
    try:
        await prepare(dsn, PASSWORDS)
        pool = await connect(service_dsn(dsn, "persona", PASSWORDS["persona"]), "persona")
        assert await pool.fetchval("SELECT current_database()") == name
        assert await migrate(pool, "persona", []) == []
        await pool.close()
    finally:
        connection = await asyncpg.connect(database.admin_dsn)
        await connection.execute('DROP DATABASE "parley ""of"" tests" WITH (FORCE)')
        await connection.close()


async def test_a_service_sees_its_own_schema_and_owns_it(database: Database) -> None:
    pool = await database.pool("persona")
    assert await pool.fetchval("SELECT current_schema()") == "persona"
    assert await pool.fetchval("SELECT current_user") == "parley_persona"
    await pool.execute("CREATE TABLE mine (x int)")


@pytest.mark.parametrize("other", [name for name in SERVICES if name != "discussion"])
async def test_a_service_can_do_nothing_in_anothers_room(database: Database, other: str) -> None:
    await database.pool(other)
    pool = await database.pool("discussion")
    for attempt in (
        f"SELECT * FROM {other}.events",
        f"INSERT INTO {other}.inbox VALUES ('a', 'b')",
        f"DELETE FROM {other}.events",
        f"CREATE TABLE {other}.mine (x int)",
        f"DROP TABLE {other}.events",
        f"SELECT * FROM {other}.append('s', 0, '', '{{}}', '{{}}', '{{}}', '{{}}', '{{}}')",
        f"SET ROLE parley_{other}",
        "CREATE TABLE public.mine (x int)",
        "CREATE ROLE somebody",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await pool.execute(attempt)


async def test_nobody_else_may_even_connect(
    database: Database, admin: asyncpg.Connection[asyncpg.Record]
) -> None:
    await prepare(database.admin_dsn, PASSWORDS)
    await admin.execute("DROP ROLE IF EXISTS parley_stranger")
    await admin.execute("CREATE ROLE parley_stranger LOGIN PASSWORD 'strange'")
    try:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await asyncpg.connect(service_dsn(database.admin_dsn, "stranger", "strange"))
    finally:
        await admin.execute("DROP ROLE parley_stranger")


async def test_a_wrong_password_opens_nothing(database: Database) -> None:
    with pytest.raises(asyncpg.InvalidPasswordError):
        await connect(service_dsn(database.admin_dsn, "discussion", "wrong"), "discussion")


async def test_a_password_may_be_changed_and_hold_anything(database: Database) -> None:
    odd = "ö'\"; DROP/@:%&?#"
    await prepare(database.admin_dsn, PASSWORDS)
    try:
        await prepare(database.admin_dsn, {**PASSWORDS, "persona": odd})
        pool = await connect(service_dsn(database.admin_dsn, "persona", odd), "persona")
        await pool.close()
    finally:
        await prepare(database.admin_dsn, PASSWORDS)


async def test_a_second_parley_on_a_server_does_not_shut_out_the_first(
    database: Database, admin: asyncpg.Connection[asyncpg.Record]
) -> None:
    await prepare(database.admin_dsn, PASSWORDS)
    another = at(database.admin_dsn, "parley_another")
    try:
        with pytest.raises(TakenServer, match="a server of its own"):
            await prepare(another, {**PASSWORDS, "persona": "its own"})

        await (await asyncpg.connect(database.dsn("persona"))).close()
        await prepare(another, PASSWORDS)
    finally:
        await admin.execute("DROP DATABASE IF EXISTS parley_another WITH (FORCE)")


async def test_the_server_never_reads_a_password(
    admin: asyncpg.Connection[asyncpg.Record], database_template: str
) -> None:
    kept = await admin.fetchval(
        "SELECT rolpassword FROM pg_authid WHERE rolname = 'parley_persona'"
    )
    assert kept.startswith("SCRAM-SHA-256$4096:")


# --- rights -----------------------------------------------------------------------------------


@pytest.fixture
async def lesser(
    database: Database, admin: asyncpg.Connection[asyncpg.Record]
) -> AsyncGenerator[str]:
    """The address of an administrator who may do nothing yet."""
    await admin.execute("DROP ROLE IF EXISTS parley_lesser")
    await admin.execute("CREATE ROLE parley_lesser LOGIN PASSWORD 'lesser'")
    name = await admin.fetchval("SELECT current_database()")
    await admin.execute(f"GRANT CONNECT ON DATABASE {name} TO parley_lesser")
    yield service_dsn(database.admin_dsn, "lesser", "lesser")
    await admin.execute(f"ALTER DATABASE {name} OWNER TO CURRENT_USER")
    await admin.execute("DROP OWNED BY parley_lesser CASCADE")
    await admin.execute("DROP ROLE IF EXISTS parley_novel")
    await admin.execute("DROP ROLE parley_lesser")


async def own_the_database(admin: asyncpg.Connection[asyncpg.Record]) -> None:
    name = await admin.fetchval("SELECT current_database()")
    await admin.execute(f"ALTER DATABASE {name} OWNER TO parley_lesser")


async def test_who_does_not_own_the_database_is_told_so(lesser: str) -> None:
    with pytest.raises(MissingRight, match=r"ALTER DATABASE .* OWNER TO"):
        await prepare(lesser, {"novel": "x"})


async def test_who_may_not_make_roles_is_told_so(
    lesser: str, admin: asyncpg.Connection[asyncpg.Record]
) -> None:
    await own_the_database(admin)
    with pytest.raises(MissingRight, match="CREATEROLE"):
        await prepare(lesser, {"novel": "x"})


async def test_who_may_not_make_databases_is_told_so(lesser: str) -> None:
    with pytest.raises(MissingRight, match="CREATEDB"):
        await prepare(at(lesser, "parley_not_there"), {"novel": "x"})


async def test_who_may_not_change_a_role_is_told_so(
    lesser: str, database: Database, admin: asyncpg.Connection[asyncpg.Record]
) -> None:
    await prepare(database.admin_dsn, PASSWORDS)
    await own_the_database(admin)
    await admin.execute("ALTER ROLE parley_lesser CREATEROLE")
    with pytest.raises(MissingRight, match="permission denied"):
        await prepare(lesser, {"persona": "x"})


async def test_an_administrator_need_not_be_a_superuser(
    lesser: str, admin: asyncpg.Connection[asyncpg.Record]
) -> None:
    await own_the_database(admin)
    await admin.execute("ALTER ROLE parley_lesser CREATEROLE")
    for _ in range(2):
        await prepare(lesser, {"novel": "x"})
    pool = await connect(service_dsn(lesser, "novel", "x"), "novel")
    await pool.execute("CREATE TABLE mine (x int)")
    await pool.close()
    await admin.execute("DROP SCHEMA novel CASCADE")
    await admin.execute("DROP OWNED BY parley_novel")


# --- migrations -------------------------------------------------------------------------------


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    first, second = tmp_path / "001_first.sql", tmp_path / "002_second.sql"
    first.write_text("CREATE TABLE first (x int); INSERT INTO first VALUES (1);")
    second.write_text("INSERT INTO first VALUES (2);")
    return [first, second]


async def test_each_file_is_applied_once_and_in_order(
    database: Database, files: list[Path]
) -> None:
    pool = await database.pool("persona")
    assert await migrate(pool, "persona", files[:1]) == ["001_first.sql"]
    assert await migrate(pool, "persona", files) == ["002_second.sql"]
    assert await migrate(pool, "persona", files) == []
    assert [row["x"] for row in await pool.fetch("SELECT x FROM first")] == [1, 2]


async def test_several_at_once_apply_each_file_once(database: Database, files: list[Path]) -> None:
    pool = await database.pool("persona")
    applied = await asyncio.gather(*(migrate(pool, "persona", files) for _ in range(5)))
    assert sorted(map(len, applied)) == [0, 0, 0, 0, 2]


async def test_a_file_that_fails_takes_the_others_with_it(
    database: Database, files: list[Path]
) -> None:
    pool = await database.pool("persona")
    files[1].write_text("INSERT INTO nowhere VALUES (2);")
    with pytest.raises(asyncpg.UndefinedTableError):
        await migrate(pool, "persona", files)
    assert await pool.fetchval("SELECT to_regclass('first')") is None


async def test_a_file_that_changed_after_it_was_applied_is_an_error(
    database: Database, files: list[Path]
) -> None:
    pool = await database.pool("persona")
    await migrate(pool, "persona", files)
    files[0].write_text("CREATE TABLE first (x bigint);")
    with pytest.raises(ChangedMigration) as caught:
        await migrate(pool, "persona", files)
    assert (caught.value.service, caught.value.name) == ("persona", "001_first.sql")


# --- statements -------------------------------------------------------------------------------


def test_statements_have_names(tmp_path: Path) -> None:
    file = tmp_path / "queries.sql"
    file.write_text(
        "-- What is asked.\n\n-- name: one\n-- Why.\nSELECT 1\n\n-- name: two\nSELECT 2;\n"
    )
    assert queries(file) == {"one": "-- Why.\nSELECT 1", "two": "SELECT 2;"}


@pytest.mark.parametrize("text", ["SELECT 1", "-- name: one\nSELECT 1\n-- name: one\nSELECT 2"])
def test_statements_without_a_name_of_their_own_are_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "queries.sql"
    file.write_text(text)
    with pytest.raises(AssertionError):
        queries(file)


async def test_a_statement_whose_connection_breaks_is_not_sent_again(database: Database) -> None:
    """Whether it was done is not known then; who asked decides, no library."""
    pool = await database.pool("discussion")
    await pool.execute("CREATE SEQUENCE times")  # counts, whatever becomes of the transaction

    with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, OSError)):
        await pool.fetchval("SELECT pg_terminate_backend(pg_backend_pid(), nextval('times'))")

    assert await pool.fetchval("SELECT nextval('times')") == 2
