"""What people may send: every body and query, checked to the letter before anything is asked.

Strict on purpose: a misspelt field is refused with its name, since a wish that is silently
ignored is worse than one that is refused.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Any, Literal, cast

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    model_validator,
)
from pydantic_core import PydanticCustomError
from rapidfuzz import process

from contracts.attempts import Parameters
from contracts.discussion import DiscussionState, WantedParticipant
from contracts.ids import is_id
from contracts.keys import Role
from contracts.modes import Mode, Options
from contracts.modes import Role as Seat
from contracts.providers import PROVIDERS, Dialect, Reasoning

TOPIC = 100_000
"""Characters of a question."""

PANEL = 8
"""Participants of one discussion."""

TOKENS = 1_048_576
"""Tokens that an answer may be allowed at most."""

SECRET = 1_000


class Body(BaseModel):
    """A JSON object with exactly these fields."""

    model_config = ConfigDict(
        extra="forbid", strict=True, allow_inf_nan=False, hide_input_in_errors=True, frozen=True
    )

    @model_validator(mode="before")
    @classmethod
    def _name_what_is_unknown(cls, told: object) -> object:
        if not isinstance(told, dict):
            return told
        given = cast("dict[str, Any]", told)
        for name in given:
            if name not in cls.model_fields:
                raise _unknown(name, list(cls.model_fields))
        return given


def _unknown(name: str, known: list[str]) -> PydanticCustomError:
    close = process.extractOne(name[:64], known, score_cutoff=70)
    hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(known)}."
    return PydanticCustomError(
        "unknown_field",
        "there is no field {name}; {hint}",
        {"name": repr(name[:64]), "hint": hint},
    )


def visible(text: str) -> str:
    """Something a reader can see: a letter, digit, punctuation mark or symbol."""
    if not any(unicodedata.category(char)[0] in "LNPS" for char in text):
        raise PydanticCustomError("nothing_visible", "must say something")
    return text


def _name(text: str) -> str:
    if any(char.isspace() or not char.isprintable() for char in text):
        raise PydanticCustomError("not_a_name", "is a name without spaces")
    return text


def printable(text: str) -> str:
    if not text.isprintable():
        raise PydanticCustomError("not_printable", "is one line of text")
    return text


Name = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_name)]
Question = Annotated[str, Field(min_length=1, max_length=TOPIC), AfterValidator(visible)]
Tokens = Annotated[int, Field(ge=1, le=TOKENS)]
Amount = Annotated[Decimal, Field(strict=False, ge=0, le=10_000_000, decimal_places=6)]
"""USD."""


# --- Discussions ------------------------------------------------------------------------------


class WhoBody(Body):
    """One participant: a persona, on its own model or a chosen one; or a bare model."""

    persona: Name | None = None
    """Slug, e.g. `riley-engstrom`."""
    model: Name | None = None
    """`provider/model`, e.g. `kimi/k2`."""

    @model_validator(mode="after")
    def _somebody(self) -> WhoBody:
        if self.persona is None and self.model is None:
            raise PydanticCustomError("nobody", "names a persona, a model, or both")
        return self

    def wanted(self, role: Seat = Seat.MEMBER) -> WantedParticipant:
        """In our own form."""
        return WantedParticipant(persona=self.persona, model=self.model, role=role)


class OptionsBody(Body):
    """How the answers are to be made. What would only shape them a little and a model does not take
    is left out for it, and its turn says so; what it cannot keep is refused.
    """

    max_completion_tokens: Tokens | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    stop: (
        Annotated[list[Annotated[str, Field(min_length=1, max_length=200)]], Field(max_length=4)]
        | None
    ) = None
    reasoning_effort: Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"] | None = (
        None
    )
    seed: Annotated[int, Field(ge=-(2**53), le=2**53)] | None = None
    budget: Amount | None = None
    """USD that all requests of the discussion together may cost."""
    rounds: Annotated[int, Field(ge=1, le=10)] | None = None
    """Debate: at most so many; 3 unless said otherwise."""
    blind: bool = False
    """Compare: who answered what is hidden until the best is picked."""
    closed: bool = False
    """Consensus: the question has one short answer, which is voted on."""
    revisions: Annotated[int, Field(ge=0, le=2)] | None = None
    """Consensus: rounds of revision at most; 1 unless said otherwise."""
    quorum: Annotated[int, Field(ge=2, le=PANEL)] | None = None
    """Consensus: drafts and ballots without which nothing is decided; else two thirds."""
    patience: Annotated[int, Field(ge=1, le=86_400)] | None = None
    """Seconds that the others wait for one turn. A consensus waits 15 minutes unless told
    otherwise, the other modes as long as it takes."""
    time_limit: Annotated[int, Field(ge=1, le=86_400)] | None = None
    """Consensus: seconds for the whole of it; what is best then is told with its true outcome."""
    panel_seed: Annotated[int, Field(ge=1, le=2**53)] | None = None
    """Consensus: decides lots and in which order drafts are shown; else made from the id."""

    def of_mode(self) -> Options:
        """What concerns the mode."""
        usual = Options()
        return Options(
            rounds=self.rounds or 0,
            blind=self.blind,
            closed=self.closed,
            revisions=usual.revisions if self.revisions is None else self.revisions,
            quorum=self.quorum or 0,
            patience=self.patience or 0,
            time_limit=self.time_limit or 0,
            seed=self.panel_seed or 0,
        )

    def parameters(self) -> Parameters:
        """In our own form; 0 tokens: as many as the model's default."""
        return Parameters(
            max_completion_tokens=self.max_completion_tokens or 0,
            temperature=self.temperature,
            top_p=self.top_p,
            stop=self.stop,
            reasoning_effort=self.reasoning_effort,
            seed=self.seed,
        )


def _turn_id(text: str) -> str:
    if not is_id(text):
        raise PydanticCustomError("not_a_turn", "is the id of a turn, as the discussion lists it")
    return text


class OpenBody(Body):
    """A new discussion."""

    topic: Question
    """What is to be discussed."""
    participants: Annotated[list[WhoBody], Field(min_length=1, max_length=PANEL)] | None = None
    models: Annotated[list[Name], Field(min_length=1, max_length=PANEL)] | None = None
    """Compare: `provider/model`, each as often as wished; instead of participants."""
    mode: Annotated[Mode, Field(strict=False)] | None = None
    """Left out: `single` with one participant, `parallel` with more, `compare` with models."""
    moderator: WhoBody | None = None
    """Debate: speaks after each round."""
    judge: WhoBody | None = None
    """Compare: says what the answers agree on and where they differ."""
    chair: WhoBody | None = None
    """Consensus: writes the synthesis, and has no vote. Left out: the author of the winner does."""
    options: OptionsBody | None = None

    @model_validator(mode="after")
    def _fits(self) -> OpenBody:
        if not self.participants and not self.models:
            raise PydanticCustomError(
                "nobody", "names who takes part: participants, or models to compare"
            )
        if self.models and (self.participants or self.mode not in {None, Mode.COMPARE}):
            raise PydanticCustomError(
                "not_models", "models are for mode compare alone, instead of participants"
            )
        if self.mode is Mode.SINGLE and len(self.participants or []) > 1:
            raise PydanticCustomError(
                "not_single", "mode single has one participant; the other modes have several"
            )
        return self

    def chosen_mode(self) -> Mode:
        """The mode as asked for, or the one that fits."""
        if self.mode is not None:
            return self.mode
        if self.models:
            return Mode.COMPARE
        return Mode.SINGLE if len(self.participants or []) == 1 else Mode.PARALLEL

    def wanted(self) -> list[WantedParticipant]:
        """Everybody who takes part: the members, and then who has another role."""
        others = (
            (self.moderator, Seat.MODERATOR),
            (self.judge, Seat.JUDGE),
            (self.chair, Seat.CHAIR),
        )
        return [
            *(who.wanted() for who in self.participants or []),
            *(WantedParticipant(model=model) for model in self.models or []),
            *(who.wanted(role) for who, role in others if who is not None),
        ]


class PostBody(Body):
    """What a person says into a discussion."""

    text: Question


class PickBody(Body):
    """The best answer of a comparison."""

    turn: Annotated[str, AfterValidator(_turn_id)]


class ForkBody(Body):
    """A turn to be asked again, of somebody else or once more, in a discussion of its own."""

    turn: Annotated[str, AfterValidator(_turn_id)]
    persona: Name | None = None
    """Left out: the turn's own."""
    model: Name | None = None
    """Left out: the turn's own, or the default of the persona that is named."""
    text: Annotated[str, Field(max_length=TOPIC)] = ""
    """Go on from the turn's answer with these words, instead of asking for it anew."""


def _id(text: str) -> str:
    if text and not is_id(text):
        raise PydanticCustomError("not_a_cursor", "is not a cursor that was given out here")
    return text


class RenameBody(Body):
    """Another title."""

    title: Annotated[
        str,
        Field(min_length=1, max_length=200),
        AfterValidator(printable),
        AfterValidator(visible),
    ]


class ExportQuery(BaseModel):
    """As which document."""

    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True, frozen=True)

    format: Literal["markdown", "json"] | None = None
    """Left out: as Accept says, else Markdown."""


class ListQuery(BaseModel):
    """Which discussions."""

    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True, frozen=True)

    state: DiscussionState | None = None
    q: Annotated[str, Field(max_length=200)] = ""
    """Words of the title, the question, the posts or the answers: all of them are to be found, in
    whatever order; what stands in quotation marks as it stands."""
    cursor: Annotated[str, AfterValidator(_id)] = ""
    """`next_cursor` of the page before."""
    limit: Annotated[int, Field(ge=1, le=200)] = 50


def _known(*, keyed: bool) -> dict[str, Any]:
    """What the description says of a provider's name: the built-in ones, or one that was added."""
    names = [row.name for row in PROVIDERS.values() if row.needs_key or not keyed]
    return {"anyOf": [{"enum": names}, {"description": "an endpoint that was added here"}]}


SEVERAL = 100
"""Discussions that one connection may follow."""


def cursors(told: str) -> dict[str, int] | None:
    """`<discussion>:<version>,…` as versions by discussion; None if it is anything else."""
    found: dict[str, int] = {}
    for part in told.split(","):
        discussion, _, version = part.partition(":")
        if not is_id(discussion) or not (version or "0").isdecimal() or len(version) > 18:
            return None
        found[discussion] = int(version or "0")
    return found if len(found) <= SEVERAL else None


def _cursors(text: str) -> str:
    if cursors(text) is None:
        raise PydanticCustomError(
            "not_cursors",
            "names 1 to {most} discussions: <id>:<version>,<id>:<version>; "
            "the version is the last one seen, 0 for none",
            {"most": SEVERAL},
        )
    return text


class FollowQuery(BaseModel):
    """Which discussions, and how far each was seen."""

    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True, frozen=True)

    follow: Annotated[str, Field(max_length=8_000), AfterValidator(_cursors)]
    """`<id>:<version>,…`; the version is the last one seen, 0 for none."""

    def wanted(self) -> dict[str, int]:
        return cursors(self.follow) or {}


# --- Keys -------------------------------------------------------------------------------------


class KeyBody(Body):
    """A provider key on its way into the vault."""

    provider: Annotated[Name, Field(json_schema_extra=_known(keyed=True))]
    secret: Annotated[SecretStr, Field(min_length=1)]
    """The key as the provider shows it."""
    label: Annotated[str, Field(max_length=100)] = ""
    region: Name | None = None
    """Which of the vendor's hosts; left out: the default one. `auto`: you allow that the key is
    shown to the vendor's other host too, once, if the first one refuses it."""
    keep_others: bool = False
    """Keep the former key in use beside this one."""
    pool: bool = False
    """Keep the former keys in use and share the work among all of them: worth it where they belong
    to different accounts."""

    @model_validator(mode="after")
    def _looks_like_a_key(self) -> KeyBody:
        _check_secret(self.secret.get_secret_value())
        return self


class RotateBody(Body):
    """The secret that is to replace a key's present one."""

    secret: Annotated[SecretStr, Field(min_length=1)]
    """The new key as the provider shows it."""

    @model_validator(mode="after")
    def _looks_like_a_key(self) -> RotateBody:
        _check_secret(self.secret.get_secret_value())
        return self


class PruneBody(Body):
    """Which keys to look through."""

    provider: Annotated[Name | None, Field(json_schema_extra=_known(keyed=False))] = None
    """Left out: those of every provider."""


def _check_secret(given: str) -> None:
    secret = given.strip()
    if not secret:
        raise PydanticCustomError("no_secret", "secret is empty")
    if len(secret) > SECRET:
        raise PydanticCustomError("long_secret", "secret is longer than any key")
    if secret.lower().startswith("bearer "):
        raise PydanticCustomError("bearer_secret", "secret is the key alone, without 'Bearer'")
    if not all("!" <= char <= "~" for char in secret):
        raise PydanticCustomError(
            "odd_secret", "secret has a character that no key has, a space or line break perhaps"
        )


# --- Providers --------------------------------------------------------------------------------

MOST = 1_000_000
MOST_TOKENS = 1_000_000_000

Count = Annotated[int, Field(ge=1, le=MOST)]
TokenCount = Annotated[int, Field(ge=1, le=MOST_TOKENS)]


class LimitsBody(Body):
    """What an account at the provider may use. What is left out stays as it is; null goes back to
    what the environment declares, or to what is assumed of the provider.
    """

    rpm: Count | None = None
    """Requests a minute."""
    tpm: TokenCount | None = None
    """Tokens a minute."""
    tpd: TokenCount | None = None
    """Tokens a day."""
    concurrency: Count | None = None
    """Answers at the same time."""

    @model_validator(mode="after")
    def _something(self) -> LimitsBody:
        if not self.model_fields_set:
            raise PydanticCustomError(
                "no_limits",
                "names at least one of rpm, tpm, tpd and concurrency; null takes it back",
            )
        return self

    def over(self, declared: Mapping[str, int], fallback: Mapping[str, int]) -> dict[str, int]:
        """The limits that come of it, where `declared` are in force."""
        limits = dict(declared)
        for kind in self.model_fields_set:
            wanted: int | None = getattr(self, kind)
            limit = fallback.get(kind) if wanted is None else wanted
            if limit is None:
                limits.pop(kind, None)
            else:
                limits[kind] = limit
        return limits


# --- Endpoints --------------------------------------------------------------------------------


class EndpointLimits(Body):
    """What an account may use there; what is left out is not limited."""

    rpm: Annotated[int, Field(ge=1, le=2**31)] | None = None
    """Requests a minute."""
    tpm: Annotated[int, Field(ge=1, le=2**53)] | None = None
    """Tokens a minute."""
    tpd: Annotated[int, Field(ge=1, le=2**53)] | None = None
    """Tokens a day."""
    concurrency: Annotated[int, Field(ge=1, le=2**31)] | None = None
    """Requests at the same time."""


class EndpointSettings(Body):
    """What is to be known of an endpoint beside the built-in providers."""

    base_url: Annotated[str, Field(min_length=1, max_length=500)]
    """`https://` and a public name, with the path before `/chat/completions`. Keys do not follow an
    endpoint to another address."""
    title: Annotated[str, Field(max_length=100), AfterValidator(printable)] = ""
    """What people read; left out: the name."""
    dialect: Annotated[Dialect, Field(strict=False)] = Dialect.OPENAI_CHAT
    """How it is spoken to."""
    needs_key: bool = True
    limits: EndpointLimits | None = None
    reasoning: Annotated[Reasoning, Field(strict=False)] = Reasoning.NONE
    """Where in its stream a model's thinking stands."""
    token_limit_field: Literal["max_tokens", "max_completion_tokens"] | None = None
    """What it calls the bound of an answer; left out: `max_tokens`."""
    asks_for_usage: bool = True
    """It takes `stream_options: {"include_usage": true}`."""


class EndpointBody(EndpointSettings):
    """A new endpoint."""

    name: Name
    """What stands before the slash in the names of its models: 2 to 31 letters, digits, dashes."""


# --- Access tokens ----------------------------------------------------------------------------


class TokenBody(Body):
    """Somebody who may come in."""

    role: Annotated[Role, Field(strict=False)]
    """What they may do."""
    label: Annotated[str, Field(max_length=100)] = ""
    """Whose it is."""
    expires_at: Annotated[AwareDatetime, Field(strict=False)] | None = None
    """When it ends, with its offset from UTC; left out: never."""
