"""What a gate is called, and whose quota opens it."""

from __future__ import annotations

from msgspec import Struct

from contracts.failures import FailureClass
from services.discussion.accounts import AccountRef


class Quota(Struct, frozen=True):
    """Of which account; the payload of a `gate` wake-up."""

    provider: str
    endpoint: str
    account: str


def gate_name(class_: FailureClass, ref: AccountRef, model: str, key: str) -> str:
    """The name of the gate that a failure closes: the key version, the model, or the account."""
    match class_:
        case FailureClass.MODEL:
            return f"model:{ref.endpoint}:{model}"
        case FailureClass.BILLING:
            return f"billing:{ref.endpoint}:{ref.account}"
        case _:
            return f"key:{key}"
