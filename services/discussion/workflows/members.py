"""Discussions that are steps of a run: the run is woken when one of them ends, in its transaction.

Apart from the rest of the workflows, since every discussion passes by here.
"""

from __future__ import annotations

from pathlib import Path

from shared.database import Connection, queries

SQL = queries(Path(__file__).with_name("queries.sql"))


async def join(conn: Connection, discussion: str, run: str, workspace: str) -> None:
    """The discussion is a step of the run from here on."""
    await conn.execute(SQL["join_run"], discussion, run, workspace)


async def ended(conn: Connection, discussion: str) -> None:
    """Wake the run that the discussion is a step of, if it is one's."""
    await conn.execute(SQL["wake_run_of"], discussion)


async def wake(conn: Connection, run: str, workspace: str) -> None:
    """There is something to do in the run."""
    await conn.execute(SQL["wake_run"], run, workspace)


async def rest(conn: Connection, run: str, seen: bytes) -> None:
    """All that was to be done is done; unless it was woken again since `seen`."""
    await conn.execute(SQL["rest_run"], run, seen)
