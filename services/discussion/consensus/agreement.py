"""How much the members of a panel agree, and how much of that is more than chance.

Kendall's W is 1 where all order the drafts alike, and 0 where their orders have nothing in common.
In a small panel chance alone makes it large: two members and three drafts reach 0.7 every other
time. So what counts as agreement depends on the size of the panel.
"""

from __future__ import annotations

from collections.abc import Sequence

# Smallest W that random rankings reach in at most one of twenty panels; by members, then by drafts
# from 3 on. By enumerating all panels up to 300,000 of them, else from 200,000 random ones.
_NEEDED: dict[int, tuple[float, ...]] = {
    3: (1.0, 0.822, 0.711, 0.657, 0.626, 0.597),
    4: (0.812, 0.65, 0.549, 0.514, 0.486, 0.464),
    5: (0.64, 0.52, 0.447, 0.419, 0.397, 0.379),
    6: (0.583, 0.422, 0.377, 0.352, 0.333, 0.318),
    7: (0.51, 0.371, 0.326, 0.302, 0.287, 0.274),
    8: (0.39, 0.318, 0.287, 0.267, 0.253, 0.243),
}
_FEWEST = 3


def needed(members: int, drafts: int) -> float | None:
    """The W from which on members agree by more than chance (p <= 0.05); None: it shows nothing.

    Two members agree or differ, that is all that can be said of them.
    """
    if members < _FEWEST or drafts < _FEWEST:
        return None
    row = _NEEDED[min(members, max(_NEEDED))]
    return row[min(drafts - _FEWEST, len(row) - 1)]


def kendalls_w(rankings: Sequence[Sequence[str]], drafts: Sequence[str]) -> float | None:
    """Agreement of the rankings that hold every draft; None for fewer than two such rankings."""
    whole = [ranking for ranking in rankings if sorted(ranking) == sorted(drafts)]
    members, items = len(whole), len(drafts)
    if members < 2 or items < 2:
        return None
    sums = [sum(ranking.index(draft) + 1 for ranking in whole) for draft in drafts]
    # In whole numbers: twice the distance of each sum from the mean of all.
    squares = sum((2 * each - members * (items + 1)) ** 2 for each in sums)
    return 3 * squares / (members**2 * (items**3 - items))
