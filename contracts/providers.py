"""Every provider Parley can speak to, as data. Adding one is adding a row here.

A quirk is a named, documented field; code asks the field, never the provider's name. Each row
states facts with their source beside them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from enum import StrEnum


class Dialect(StrEnum):
    """How a provider is spoken to; each is one file of provider_adapter."""

    OPENAI_CHAT = "openai_chat"


class Reasoning(StrEnum):
    """Where a provider puts the model's thinking in a streamed delta."""

    NONE = "none"
    CONTENT_FIELD = "reasoning_content"


@dataclass(frozen=True, slots=True, kw_only=True)
class Region:
    """One of the hosts of a vendor, with its own accounts and keys."""

    name: str
    base_url: str
    env: str
    """Environment variable by which the operator overrides the address."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What an account may use; None is unlimited or not declared."""

    rpm: int | None = None
    """Requests a minute."""
    tpm: int | None = None
    """Tokens a minute, input and reserved output together."""
    tpd: int | None = None
    """Tokens a day."""
    concurrency: int | None = None
    """Requests at the same time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """What is known of a model beforehand. Its existence is known only from the live catalog."""

    id: str
    context_window: int | None = None
    """Tokens."""
    input_price: Decimal | None = None
    """USD for a million tokens, as of `PRICES_READ`."""
    cached_price: Decimal | None = None
    output_price: Decimal | None = None
    thinks: bool = False
    answer_tokens: int | None = None
    """Tokens an answer may have unless asked otherwise; None: 1,024, or 8,192 if it thinks."""
    fixed_temperature: bool = False
    """Refuses any temperature but its own: the parameter is left out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """What makes one provider differ from the next."""

    name: str
    title: str
    dialect: Dialect
    regions: tuple[Region, ...]
    """The first is the default."""
    docs: str
    note: str = ""
    """What people should know before they choose it."""
    needs_key: bool = True
    key_prefixes: Mapping[str, str] = field(default_factory=dict[str, str])
    """Key prefix → region it belongs to, where the form of a key tells."""
    reasoning: Reasoning = Reasoning.NONE
    sends_thinking_back: bool = False
    """An assistant turn with tool calls must repeat its thinking."""
    token_limit_field: str = "max_completion_tokens"  # noqa: S105 - a field's name
    """Name of the parameter that bounds the answer."""
    asks_for_usage: bool = True
    """Takes `stream_options: {"include_usage": true}`."""
    fixed_temperature: bool = False
    """As `Model.fixed_temperature`, for models that are not listed below."""
    limits: Limits = Limits()
    """Assumed until declared or learnt."""
    models: tuple[Model, ...] = ()
    default_models: tuple[str, ...] = ()
    """Preferred ids, best first, for who chose no model; the first one in the live catalog."""
    families: Mapping[str, str] = field(default_factory=dict[str, str])
    """Family name → regular expression over live ids; resolves to the newest that matches."""
    retired: Mapping[str, str] = field(default_factory=dict[str, str])
    """Model id that the vendor ended → what it is to be replaced with."""
    error_map: Mapping[str, str] = field(default_factory=dict[str, str])
    """Provider's error type → our failure class, where the common rules are not enough."""

    def region(self, name: str | None) -> Region:
        """The named region, or the default; KeyError for an unknown one."""
        if name is None:
            return self.regions[0]
        return {region.name: region for region in self.regions}[name]

    def model(self, id: str) -> Model | None:
        """What is known of the model, or None."""
        return next((model for model in self.models if model.id == id), None)


PRICES_READ = date(2026, 11, 22)
"""Day the prices below were read, from LiteLLM 1.109.1's table and platform.kimi.ai."""


def _usd(amount: str) -> Decimal:
    return Decimal(amount)


KIMI = Provider(
    name="kimi",
    title="Kimi (Moonshot AI)",
    dialect=Dialect.OPENAI_CHAT,
    # The two open platforms are separate companies' accounts: a key of one is 401 on the other
    # (platform docs, "Errors"). Kimi Code is a third product with its own keys.
    regions=(
        Region(name="ai", base_url="https://api.moonshot.ai/v1", env="KIMI_BASE_URL"),
        Region(name="cn", base_url="https://api.moonshot.cn/v1", env="KIMI_CN_BASE_URL"),
        Region(name="code", base_url="https://api.kimi.com/coding/v1", env="KIMI_CODE_BASE_URL"),
    ),
    key_prefixes={"sk-kimi-": "code"},
    docs="https://platform.kimi.ai/docs",
    reasoning=Reasoning.CONTENT_FIELD,
    sends_thinking_back=True,
    fixed_temperature=True,
    # Tier 1 of .cn, the lowest paid one; tier 0 (1 at a time, 3 a minute) is learnt from its 429s.
    limits=Limits(rpm=100, concurrency=15),
    models=(
        Model(
            id="kimi-k3.1-pro",
            context_window=1_048_576,
            input_price=_usd("2"),
            cached_price=_usd("0.20"),
            output_price=_usd("10"),
            thinks=True,
            fixed_temperature=True,
        ),
        Model(
            id="kimi-k3.1-pro-highspeed",
            context_window=1_048_576,
            input_price=_usd("4"),
            cached_price=_usd("0.20"),
            output_price=_usd("20"),
            thinks=True,
            fixed_temperature=True,
        ),
        Model(
            id="kimi-k3",
            context_window=1_048_576,
            input_price=_usd("3"),
            cached_price=_usd("0.30"),
            output_price=_usd("15"),
            thinks=True,
            fixed_temperature=True,
        ),
        Model(
            id="kimi-k2.7-code",
            context_window=262_144,
            input_price=_usd("0.95"),
            cached_price=_usd("0.19"),
            output_price=_usd("4"),
            thinks=True,
            fixed_temperature=True,
        ),
        Model(
            id="kimi-k2.6",
            context_window=262_144,
            input_price=_usd("0.95"),
            cached_price=_usd("0.16"),
            output_price=_usd("4"),
            thinks=True,
            fixed_temperature=True,
        ),
    ),
    default_models=("kimi-k2.6", "kimi-k3", "kimi-k3.1-pro"),
    # The newest K2.x that is not the code model.
    families={"k2": r"kimi-k2\.\d+", "k3": r"kimi-k3(\.\d+-pro)?"},
    retired={
        "kimi-k2-0711-preview": "kimi-k2.6",
        "kimi-k2-0905-preview": "kimi-k2.6",
        "kimi-k2-turbo-preview": "kimi-k2.6",
        "kimi-k2-thinking": "kimi-k2.6",
        "kimi-k2-thinking-turbo": "kimi-k2.6",
        "kimi-k2.5": "kimi-k2.6",
        "kimi-latest": "kimi-k2.6",
        "kimi-latest-8k": "kimi-k2.6",
        "kimi-latest-32k": "kimi-k2.6",
        "kimi-latest-128k": "kimi-k2.6",
        "kimi-thinking-preview": "kimi-k2.6",
        "moonshot-v1-8k": "kimi-k2.6",
        "moonshot-v1-32k": "kimi-k2.6",
        "moonshot-v1-128k": "kimi-k2.6",
        "moonshot-v1-auto": "kimi-k2.6",
    },
)

LOCAL = Provider(
    name="local",
    title="Local demonstration model",
    dialect=Dialect.OPENAI_CHAT,
    # No default address: the launcher says where the model listens.
    regions=(Region(name="local", base_url="", env="LOCAL_BASE_URL"),),
    docs="https://huggingface.co/HuggingFaceTB/SmolLM2-135M-Instruct",
    note="A tiny demonstration model on this machine: it speaks, it does not know much.",
    needs_key=False,
    token_limit_field="max_tokens",  # noqa: S106 - a field's name
    limits=Limits(concurrency=4),
    models=(
        Model(
            id="smollm2-135m-instruct",
            context_window=8192,
            # A model of 135 million parameters says nothing new after a few paragraphs.
            answer_tokens=320,
            input_price=_usd("0"),
            cached_price=_usd("0"),
            output_price=_usd("0"),
        ),
    ),
    default_models=("smollm2-135m-instruct",),
)

PROVIDERS: Mapping[str, Provider] = {row.name: row for row in (KIMI, LOCAL)}
"""By name, in the order in which people are shown them."""
