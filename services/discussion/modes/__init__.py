"""Who speaks when: each mode is a pure function from what has been said to what happens next."""

from __future__ import annotations

from collections.abc import Mapping

from contracts.modes import Mode
from services.discussion.modes.consensus import Consensus
from services.discussion.modes.debate import Debate
from services.discussion.modes.everyone import Everyone
from services.discussion.modes.table import Process

PROCESSES: Mapping[Mode, Process] = {
    Mode.SINGLE: Everyone(),
    Mode.PARALLEL: Everyone(),
    Mode.COMPARE: Everyone(),
    Mode.DEBATE: Debate(),
    Mode.CONSENSUS: Consensus(),
}
