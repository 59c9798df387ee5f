"""What may be done with the keys of a ring: by people, by probes and by attempts."""

from __future__ import annotations

from dataclasses import dataclass

from services.key_vault.aggregate.verdicts import Accepted, Denied, Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Add:
    key: str
    region: str
    endpoint: str
    fingerprint: str
    label: str = ""
    by: str = ""
    keep_others: bool = False
    pool: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Recognise:
    """The provider has named the account of this version of the key."""

    key: str
    version: int
    account: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Judge:
    """A probe has asked the provider about this version of the key."""

    key: str
    version: int
    verdict: Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """An attempt was made with this version of the key."""

    key: str
    version: int
    attempt: str
    verdict: Accepted | Denied


@dataclass(frozen=True, slots=True, kw_only=True)
class Rotate:
    """A new secret was tried; `version` is the one it becomes if the provider took it."""

    key: str
    version: int
    fingerprint: str
    verdict: Verdict
    endpoint: str = ""
    """Where it was tried, and what it is bound to from now on; empty: where the key is bound to."""
    account: str = ""
    """Whose it is, if the provider said so; taken for the former one's until it does."""
    by: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Strand:
    """The provider is at another address than the one that this key is for, or gone."""

    key: str
    reason: str
    next_step: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Disable:
    key: str
    by: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Enable:
    key: str
    by: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Revoke:
    key: str
    by: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prune:
    """Away with what is of no more use: refused, replaced and revoked keys."""

    by: str = ""


Command = Add | Recognise | Judge | Report | Rotate | Strand | Disable | Enable | Revoke | Prune
