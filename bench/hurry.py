"""Time runs faster for whoever decides about waiting: what takes ten minutes takes one."""

from __future__ import annotations

from local.home import Home
from shared.database import connect_alone, service_dsn


async def hurry(home: Home, speed: float) -> None:
    """From now on, in the running Parley of this home.

    Discussion asks one clock only, a function in its schema, and that one is replaced. The vault's
    waits are rows, and are shortened as they are written. What others wait for by themselves (the
    adapter for a provider, a browser for the edge) takes as long as ever.
    """
    await _run(
        home,
        "discussion",
        "CREATE TABLE beginning AS SELECT clock_timestamp() AS at;"
        "CREATE OR REPLACE FUNCTION clock() RETURNS timestamptz LANGUAGE sql VOLATILE AS "
        f"'SELECT at + (clock_timestamp() - at) * {speed:f} FROM beginning'",
    )
    await _run(
        home,
        "key_vault",
        "CREATE FUNCTION sooner() RETURNS trigger LANGUAGE plpgsql AS "
        f"'BEGIN NEW.due := now() + (NEW.due - now()) / {speed:f}; RETURN NEW; END';"
        "CREATE TRIGGER sooner BEFORE INSERT OR UPDATE ON checks "
        "FOR EACH ROW EXECUTE FUNCTION sooner()",
    )


async def _run(home: Home, service: str, statements: str) -> None:
    facts = home.facts()
    assert facts is not None, "start it first"
    dsn = service_dsn(facts.database, service, home.passwords()[service])
    conn = await connect_alone(dsn, service, "hurry")
    try:
        await conn.execute(statements)
    finally:
        await conn.close()
