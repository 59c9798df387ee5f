"""What is left in an account, where the provider tells: below nothing, it answers nobody."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal

from contracts.failures import Balance
from contracts.providers import Provider
from services.provider_adapter import classify
from services.provider_adapter.answer import Told, Unreadable
from services.provider_adapter.foreign import an_object, as_dict, failure


def balance(
    status: int, headers: Mapping[str, str], body: bytes, row: Provider, *, now: datetime
) -> Balance | classify.Verdict:
    """The balance in a reply, or why there is none."""
    if status != 200:
        return failure(status, headers, body, row, now=now)
    try:
        said = as_dict(an_object(body).get("data")).get("available_balance")
    except Unreadable:
        said = None
    if isinstance(said, int | float) and not isinstance(said, bool) and math.isfinite(said):
        amount = Decimal(str(said))
        # Moonshot refuses every request once nothing is available (platform docs, "Balance").
        return Balance(amount=f"{amount:.2f}", enough=amount > 0)
    # Moonshot answers 200 with `status: false` where something went wrong on its side.
    told = Told(type="server_error", message="There is no balance in the answer.")
    return classify.verdict(told, status=status, headers=headers, body=body, row=row, now=now)
