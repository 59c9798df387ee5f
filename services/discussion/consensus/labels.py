"""Which letter a draft bears for which reviewer.

Reviewers favour what they see first, and more so the closer the drafts are in quality. So each
sees the drafts under other letters: the rows of a Latin square, in which every draft bears every
letter equally often.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from string import ascii_uppercase

MOST = len(ascii_uppercase)


def labels(drafts: Sequence[str], *, reviewer: int, seed: int) -> Mapping[str, str]:
    """Letter → draft, in the order of the letters, as the reviewer with this number sees them.

    For as many reviewers as drafts each draft bears each letter exactly once; for other numbers,
    never more than once oftener than any other.
    """
    size = len(drafts)
    if size > MOST:
        raise ValueError(f"{size} drafts, but there are {MOST} letters")
    dice = random.Random(seed)  # noqa: S311 - it must come out the same again, not be secret
    shuffled = dice.sample(sorted(drafts), size)
    rows = dice.sample(range(size), size)
    turn = rows[reviewer % size] if size else 0
    return {ascii_uppercase[at]: shuffled[(at + turn) % size] for at in range(size)}
