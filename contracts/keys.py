"""Provider keys and access tokens: what is stated about them, and what may be asked.

No message here can carry a key in the clear: a secret travels sealed, a token travels as a hash.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Literal, get_args

from msgspec import Struct

from contracts.endpoints import CustomProvider
from contracts.event import Event, EventFamily
from contracts.failures import Balance, Evidence


class KeyState(StrEnum):
    PENDING = "pending"
    """Not verified yet: leased for probes only."""
    ACTIVE = "active"
    SUSPECT = "suspect"
    """Worked before, was refused once; one confirmation decides."""
    QUARANTINED = "quarantined"
    """Refused by the provider: leased for probes only, until a verification succeeds."""
    DISABLED = "disabled"
    REVOKED = "revoked"


class Role(StrEnum):
    OWNER = "owner"
    ADMIN = "admin"
    MEMBER = "member"
    VIEWER = "viewer"
    INTEGRATION = "integration"


# --- Events ---------------------------------------------------------------------------------


class _KeyEvent(Event, frozen=True, kw_only=True):
    workspace: str
    key: str
    version: int
    provider: str
    endpoint: str
    """Base URL that the key is bound to."""


class KeyAdded(_KeyEvent, frozen=True, kw_only=True, tag="key_vault.key_added.v1"):
    region: str
    fingerprint: str
    """HMAC of the key under a salt of this vault; tells equal keys, tells nothing of the key."""
    label: str = ""
    added_by: str = ""
    keep_others: bool = False
    pool: bool = False
    """It shares the work with the other keys that are in use."""


class KeyVerified(_KeyEvent, frozen=True, kw_only=True, tag="key_vault.key_verified.v1"):
    """The provider accepted the key on its endpoint."""

    models: int = 0
    balance: Balance | None = None
    """What is left in its account, if that was asked for."""


class KeyNotVerified(_KeyEvent, frozen=True, kw_only=True, tag="key_vault.key_not_verified.v1"):
    """The provider could not be asked, or said nothing of the key: its state stays."""

    reason: str
    next_step: str
    evidence: Evidence = Evidence()


class KeyActivated(_KeyEvent, frozen=True, kw_only=True, tag="key_vault.key_activated.v1"):
    """The key may be used from now on; whatever was parked for a key of this provider wakes."""

    account: str = ""
    """Account that the limits belong to, as far as known; the key's own id until then."""


class KeyAccountSeen(_KeyEvent, frozen=True, kw_only=True, tag="key_vault.key_account_seen.v1"):
    """The provider has named the account of this key: those of one account share its limits."""

    account: str
    """A name of our own, the same for all keys of the account: an HMAC of the provider's id."""


class KeyRotated(_KeyEvent, frozen=True, kw_only=True, tag="key_vault.key_rotated.v1"):
    """`version` replaces every earlier one of this key: drop those at once."""

    fingerprint: str = ""
    account: str = ""
    rotated_by: str = ""


class KeyNotRotated(_KeyEvent, frozen=True, kw_only=True, tag="key_vault.key_not_rotated.v1"):
    """A new secret was tried and not taken; the key goes on as it was. `version` is the one that
    the new secret would have become.
    """

    reason: str
    next_step: str
    evidence: Evidence = Evidence()
    rotated_by: str = ""


class KeyProven(_KeyEvent, frozen=True, kw_only=True, tag="key_vault.key_proven.v1"):
    """This version has completed an attempt for the first time: it may run beside itself."""

    attempt: str = ""


class KeySuspected(_KeyEvent, frozen=True, kw_only=True, tag="key_vault.key_suspected.v1"):
    """A key that has worked was refused; one confirmation decides. Until then its users wait."""

    reason: str
    next_step: str
    evidence: Evidence = Evidence()
    attempt: str = ""


class KeyQuarantined(_KeyEvent, frozen=True, kw_only=True, tag="key_vault.key_quarantined.v1"):
    reason: str
    next_step: str
    evidence: Evidence = Evidence()
    attempt: str = ""


class KeyDisabled(_KeyEvent, frozen=True, kw_only=True, tag="key_vault.key_disabled.v1"):
    cause: Literal["replaced", "by hand"]
    replaced_by: str = ""
    disabled_by: str = ""


class KeyEnabled(_KeyEvent, frozen=True, kw_only=True, tag="key_vault.key_enabled.v1"):
    """It is wanted again; it is verified like a new one before anybody may use it."""

    enabled_by: str = ""


class KeyRevoked(_KeyEvent, frozen=True, kw_only=True, tag="key_vault.key_revoked.v1"):
    """For ever: its secret is destroyed."""

    revoked_by: str = ""


class KeyRemoved(_KeyEvent, frozen=True, kw_only=True, tag="key_vault.key_removed.v1"):
    """It is on no list any more; what happened to it stays on record."""

    removed_by: str = ""


class EndpointChanged(Event, frozen=True, kw_only=True, tag="key_vault.endpoint_changed.v1"):
    """An endpoint beside the built-in providers was added, changed or removed. Keys do not follow
    it to another address: they stay bound to the one they were added for.
    """

    workspace: str
    provider: str
    endpoint: str
    """Its address from now on, or the last one it had."""
    row: CustomProvider | None = None
    """All that is known of it; None: its address only."""
    removed: bool = False
    changed_by: str = ""


class TokenIssued(Event, frozen=True, kw_only=True, tag="key_vault.token_issued.v1"):
    workspace: str
    token: str
    """Its id, not the token."""
    role: Role
    label: str = ""
    expires_at: datetime | None = None
    issued_by: str = ""


class TokenRevoked(Event, frozen=True, kw_only=True, tag="key_vault.token_revoked.v1"):
    workspace: str
    token: str
    revoked_by: str = ""


KeyStays = (
    KeyAdded
    | KeyVerified
    | KeyNotVerified
    | KeyActivated
    | KeyAccountSeen
    | KeyProven
    | KeyRotated
    | KeyNotRotated
    | KeySuspected
    | KeyQuarantined
    | KeyDisabled
    | KeyEnabled
    | KeyRevoked
)
"""After these the key is still there."""

KeyEvent = KeyStays | KeyRemoved | EndpointChanged | TokenIssued | TokenRevoked

KEY_EVENTS: EventFamily[Event] = EventFamily(service="key_vault", classes=get_args(KeyEvent))


# --- What may be asked: parley.cmd.key_vault.<verb> -----------------------------------------


class DescribeVault(Struct, frozen=True):
    """`identity`: the vault's public keys, for who seals to it or checks its signature."""


class VaultIdentity(Struct, frozen=True, kw_only=True):
    sealing_key: bytes
    """X25519 public key: secrets on their way in are sealed to it."""
    signing_key: bytes
    """Ed25519 public key: leases are signed with its other half."""


class AddKey(Struct, frozen=True, kw_only=True):
    """`add`: keep a key, verify it with `GET /models` on its endpoint, use it if that works."""

    workspace: str
    request: str
    """Fresh id that the sealed secret is bound to."""
    provider: str
    sealed_secret: bytes
    region: str | None = None
    """A region's name; None: the default one. `auto` is the person's consent that the key is shown
    to the vendor's other host too, once, if the first one refuses it."""
    label: str = ""
    keep_others: bool = False
    pool: bool = False
    """Share the work with the other keys in use, which all stay: each request goes out with the one
    whose account can take it soonest."""
    by: str = ""
    idempotency_key: str = ""


AUTO = "auto"
"""The region that nobody has chosen: whichever of the vendor's hosts takes the key."""


class RotateKey(Struct, frozen=True, kw_only=True):
    """`rotate`: a new secret for a key; it is verified first and replaces the former one only if
    its provider takes it.
    """

    workspace: str
    request: str
    """Fresh id that the sealed secret is bound to."""
    key: str
    sealed_secret: bytes
    by: str = ""


class ListKeys(Struct, frozen=True, kw_only=True):
    """`list`"""

    workspace: str
    provider: str | None = None


class GetKey(Struct, frozen=True, kw_only=True):
    """`get`"""

    workspace: str
    key: str


class KeyView(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A key as people see it: everything but the key."""

    id: str
    version: int
    provider: str
    state: KeyState
    endpoint: str
    region: str
    fingerprint: str
    label: str = ""
    account: str = ""
    since: datetime | None = None
    """When it came into this state."""
    activated_at: datetime | None = None
    proven: bool = False
    """This version has completed an attempt."""
    reason: str = ""
    next_step: str = ""
    pool: bool = False
    """It shares the work with the other keys in use."""
    shares_limits_with: list[str] = []
    """Ids of other keys in use of the same account: together they may do no more than one."""


class KeyList(Struct, frozen=True):
    items: list[KeyView]


class VerifyKey(Struct, frozen=True, kw_only=True):
    """`verify`: ask the provider now whether the key works."""

    workspace: str
    key: str
    by: str = ""


class DisableKey(Struct, frozen=True, kw_only=True):
    """`disable`: not to be used until it is enabled again."""

    workspace: str
    key: str
    by: str = ""


class EnableKey(Struct, frozen=True, kw_only=True):
    """`enable`: to be used again, once its provider has taken it."""

    workspace: str
    key: str
    by: str = ""


class RevokeKey(Struct, frozen=True, kw_only=True):
    """`revoke`: never to be used again; its secret is destroyed."""

    workspace: str
    key: str
    by: str = ""


class PruneKeys(Struct, frozen=True, kw_only=True):
    """`prune`: revoke the keys that are of no more use (quarantined, replaced) and take them and
    the revoked ones off the list. Answers what was removed.
    """

    workspace: str
    provider: str | None = None
    by: str = ""


class LeaseKey(Struct, frozen=True, kw_only=True):
    """`lease` (provider_adapter only): the key, sealed to the asker's ephemeral public key."""

    workspace: str
    request: str
    """The attempt or probe it is for; part of what the sealing is bound to."""
    key: str
    version: int
    endpoint: str
    recipient: bytes
    """X25519 public key of the asking process."""
    purpose: Literal["attempt", "probe"]


class KeyLease(Struct, frozen=True, kw_only=True):
    sealed: bytes
    signature: bytes
    """Ed25519 over what the sealing is bound to and the sealed bytes."""
    expires_at: datetime
    """The adapter forgets the key by then: five minutes at most."""


class RewrapVault(Struct, frozen=True, kw_only=True):
    """`rewrap` (owners only): change the key that encrypts all keys at rest, in full use."""

    by: str = ""


class Rewrapped(Struct, frozen=True, kw_only=True):
    """How far the change has come."""

    rewrapped: int
    """Secrets that are under the new one since this was asked."""
    finished: bool
    """Nothing is under the former one any more."""
    detail: str
    next_step: str
    unreadable: list[str] = []
    """Ids of keys whose secrets nobody can read any more."""


class ReportKey(Struct, frozen=True, kw_only=True):
    """`report` (discussion only): what a provider said of a key while it was used."""

    workspace: str
    key: str
    version: int
    accepted: bool | None
    """None: nothing was said of the key, only of its account."""
    attempt: str
    account: str = ""
    """As `Evidence.account`."""
    balance: Balance | None = None
    """The key was taken where the balance is told."""
    evidence: Evidence = Evidence()
    hint: str = ""


class Introspect(Struct, frozen=True, kw_only=True):
    """`introspect` (edge only): who holds the token with this SHA-256."""

    token_hash: bytes


class Identity(Struct, frozen=True, kw_only=True):
    """Who asks, on whose behalf and with which rights."""

    token: str
    workspace: str
    role: Role
    label: str = ""
    expires_at: datetime | None = None


# --- Access tokens --------------------------------------------------------------------------


class IssueToken(Struct, frozen=True, kw_only=True):
    """`issue_token`: let whoever holds the token with this SHA-256 in."""

    workspace: str
    token_hash: bytes
    role: Role
    label: str = ""
    expires_at: datetime | None = None
    by: str = ""
    by_role: Role
    """Who is asking: nobody grants more than what is theirs."""


class TokenView(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An access token as people see it: everything but the token."""

    id: str
    role: Role
    state: Literal["valid", "expired", "revoked"]
    label: str = ""
    issued_at: datetime | None = None
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    issued_by: str = ""
    """Id of the token that asked for it."""


class ListTokens(Struct, frozen=True, kw_only=True):
    """`list_tokens`"""

    workspace: str


class TokenList(Struct, frozen=True):
    items: list[TokenView]


class RevokeToken(Struct, frozen=True, kw_only=True):
    """`revoke_token`: nobody comes in with it from now on."""

    workspace: str
    token: str
    by: str = ""
    by_role: Role


class Done(Struct, frozen=True):
    """It is done; there is nothing more to say."""


# --- Endpoints ------------------------------------------------------------------------------


class AddEndpoint(Struct, frozen=True, kw_only=True):
    """`add_endpoint`: a provider of the workspace's own, from now on like any other."""

    workspace: str
    endpoint: CustomProvider
    by: str = ""


class ChangeEndpoint(Struct, frozen=True, kw_only=True):
    """`change_endpoint`: what is known of the endpoint of this name is this from now on."""

    workspace: str
    endpoint: CustomProvider
    by: str = ""


class RemoveEndpoint(Struct, frozen=True, kw_only=True):
    """`remove_endpoint`: it is no provider any more; its keys are lent to nobody."""

    workspace: str
    name: str
    by: str = ""


class ListEndpoints(Struct, frozen=True, kw_only=True):
    """`list_endpoints`: the workspace's own and the operator's."""

    workspace: str


class EndpointView(CustomProvider, frozen=True, kw_only=True, omit_defaults=True):
    """An endpoint as people see it."""

    configured: bool = False
    """It stands in the operator's environment: it is changed and removed there only."""
    since: datetime | None = None
    reason: str = ""
    """What became of its keys, where something did."""
    next_step: str = ""


class EndpointList(Struct, frozen=True):
    items: list[EndpointView]
