"""Wait for a fact, with a deadline, instead of sleeping and hoping."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from inspect import isawaitable
from typing import Any, TypeVar, overload

T = TypeVar("T")


@overload
async def eventually(fact: Callable[[], Awaitable[T]], *, within: timedelta = ...) -> T: ...
@overload
async def eventually(fact: Callable[[], T], *, within: timedelta = ...) -> T: ...
async def eventually(fact: Callable[[], Any], *, within: timedelta = timedelta(seconds=10)) -> Any:
    """What `fact` answers as soon as it is true in Python's sense; AssertionError if it never is.

    An AssertionError that `fact` raises means "not yet"; the last one says why it never was.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + within.total_seconds()
    while True:
        late = loop.time() > deadline
        try:
            answer = fact()
            if isawaitable(answer):
                answer = await answer
        except AssertionError:
            if late:
                raise
        else:
            if answer:
                return answer
            assert not late, f"not true within {within}; last answer: {answer!r}"
        await asyncio.sleep(0.005)
