"""What the edge asks of the other services: once, with a deadline, never again by itself."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import TypeVar

import msgspec

from contracts.subjects import command_subject
from shared.bus import Bus

T = TypeVar("T")

READ = timedelta(seconds=5)
"""For what is only looked up."""

CHANGE = timedelta(seconds=10)

VERIFY = timedelta(seconds=45)
"""For what takes long: a provider's own answer (a new key is tried first), or much work."""

_WITHIN: Mapping[tuple[str, str], timedelta] = {
    ("discussion", "open"): CHANGE,
    ("discussion", "cancel"): CHANGE,
    ("discussion", "rename"): CHANGE,
    ("discussion", "delete"): CHANGE,
    ("discussion", "refresh"): VERIFY,
    ("discussion", "retry"): CHANGE,
    ("discussion", "post"): CHANGE,
    ("discussion", "conclude"): CHANGE,
    ("discussion", "pick"): CHANGE,
    ("discussion", "fork"): CHANGE,
    ("discussion", "limits"): CHANGE,
    ("discussion", "set_budget"): CHANGE,
    ("discussion", "remove_budget"): CHANGE,
    ("persona", "create"): CHANGE,
    ("persona", "revise"): CHANGE,
    ("persona", "archive"): CHANGE,
    ("persona", "import"): CHANGE,
    ("discussion", "define_workflow"): CHANGE,
    ("discussion", "revise_workflow"): CHANGE,
    ("discussion", "archive_workflow"): CHANGE,
    ("discussion", "start_run"): CHANGE,
    ("discussion", "answer_gate"): CHANGE,
    ("discussion", "cancel_run"): CHANGE,
    ("discussion", "fork_run"): CHANGE,
    ("discussion", "delete_run"): CHANGE,
    ("key_vault", "add"): VERIFY,
    ("key_vault", "verify"): VERIFY,
    ("key_vault", "rotate"): VERIFY,
    ("key_vault", "enable"): VERIFY,
    ("key_vault", "disable"): CHANGE,
    ("key_vault", "revoke"): CHANGE,
    ("key_vault", "prune"): CHANGE,
    ("key_vault", "add_endpoint"): CHANGE,
    ("key_vault", "change_endpoint"): CHANGE,
    ("key_vault", "remove_endpoint"): CHANGE,
    ("key_vault", "rewrap"): VERIFY,
    ("key_vault", "issue_token"): CHANGE,
    ("key_vault", "revoke_token"): CHANGE,
}


async def ask(bus: Bus, service: str, verb: str, command: msgspec.Struct, answer: type[T]) -> T:
    """Ask `service` once. Refused, Unreachable and TimedOut go up to the caller's answer."""
    within = _WITHIN.get((service, verb), READ)
    return await bus.request(command_subject(service, verb), command, answer, within=within)
