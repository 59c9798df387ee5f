"""Every provider Parley can speak to, as data. Adding one is adding a row here.

A quirk is a named, documented field; code asks the field, never the provider's name. Each row
states facts with their source beside them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from enum import StrEnum


class Dialect(StrEnum):
    """How a provider is spoken to; each is one file of provider_adapter."""

    OPENAI_CHAT = "openai_chat"
    ANTHROPIC_MESSAGES = "anthropic_messages"
    GEMINI = "gemini"
    OLLAMA = "ollama"


class Reasoning(StrEnum):
    """Where a provider puts the model's thinking in a streamed delta."""

    NONE = "none"
    CONTENT_FIELD = "reasoning_content"
    PLAIN_FIELD = "reasoning"


class Continuing(StrEnum):
    """How a provider is given the beginning of an answer, to go on from there: the conversation
    ends with what the assistant has said so far, and the reply does not repeat it.
    """

    NONE = ""
    """It cannot be."""
    PLAIN = "plain"
    """Nothing marks that message."""
    PARTIAL = "partial"
    """The message has `"partial": true` (Moonshot, "Partial Mode")."""
    PREFIX = "prefix"
    """The message has `"prefix": true` (Mistral, "Prefix")."""
    FINAL_MESSAGE = "final_message"
    """The request has `continue_final_message` and not `add_generation_prompt` (vLLM)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Region:
    """One of the hosts of a vendor, with its own accounts and keys."""

    name: str
    base_url: str
    env: str
    """Environment variable by which the operator overrides the address."""
    currency: str = ""
    """What a balance is told in; empty where none is told."""


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
class PriceTier:
    """What a long question costs: all of its tokens, not only those past the mark."""

    above: int
    """Tokens of input."""
    input_price: Decimal
    cached_price: Decimal | None = None
    output_price: Decimal


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
    price_tiers: tuple[PriceTier, ...] = ()
    """In the order of their marks."""
    thinks: bool = False
    """Thinks unasked, which counts as output."""
    answer_tokens: int | None = None
    """Tokens an answer may have unless asked otherwise; None: 1,024, or 8,192 if it thinks."""
    fixed_temperature: bool = False
    """Refuses any temperature but its own: the parameter is left out."""
    efforts: tuple[str, ...] | None = None
    """Values of `reasoning_effort` that it knows; others are left out. None: as its provider's."""
    refuses: Mapping[str, str] = field(default_factory=dict[str, str])
    """As `Provider.refuses`, for this model alone."""
    can_stop_thinking: bool = False
    """Takes `"thinking": {"type": "disabled"}`; without it, a model that thinks cannot go on from
    the beginning of an answer."""


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
    either_temperature_or_top_p: bool = False
    """Refuses the two together: `top_p` is left out."""
    renames: Mapping[str, str] = field(default_factory=dict[str, str])
    """Parameter → the provider's own name for it."""
    leaves_out: frozenset[str] = frozenset()
    """Parameters that it does not know and that are left out: the answer is hardly another. Who
    reads the answer is told."""
    efforts: tuple[str, ...] | None = None
    """Values of `reasoning_effort` that it knows; others are left out. None: not known, all go."""
    refuses: Mapping[str, str] = field(default_factory=dict[str, str])
    """Parameter that it cannot keep, `stop`, or one value of it, `tool_choice:required` → why: who
    asks for it is told, and nothing is sent."""
    keeps_schemas: bool = False
    """An answer keeps to the JSON schema in `response_format`, whatever the model. Where it does
    not, or where that was not seen yet, a form is asked for in words alone."""
    reads_slowly: bool = False
    """It runs on a machine of one's own, which may load a model first, or read a long question
    for longer than a service would: it is waited for as one that thinks."""
    catalog_path: str = ""
    """Where its models are listed for this key, below the endpoint, if not where its dialect has
    them. Looking there is how a key is verified, so it must refuse a bad one."""
    not_for_chat: tuple[str, ...] = ()
    """Regular expressions over ids of models that make vectors, pictures or sound or judge a text,
    for lists that do not tell; they are not offered."""
    continuing: Continuing = Continuing.NONE
    """How an answer that broke off is gone on with."""
    account_header: str = ""
    """Header of its answers that names the account, in lower case: keys of one account share its
    limits. Many name it in the words of an error, too."""
    limit_headers: Mapping[str, str] = field(default_factory=dict[str, str])
    """Limit (`rpm`, `tpm`, `tpd`) → header of its answers, in lower case, that names it. They are
    believed where a limit was reached, and only lower what is assumed."""
    balance_path: str = ""
    """Where the account's balance is told, below the endpoint; not everybody tells."""
    absent: str = ""
    """What to do where no address is known: there is no default for what runs at home."""
    rolling_day: bool = False
    """A daily limit is of the last 24 hours, so the wait that it names is the true one, however
    short. Elsewhere a day ends at midnight, and a short wait is that of the minute."""
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

    def balance_in(self, endpoint: str, environment: Mapping[str, str]) -> str:
        """The currency of the balance that is told at this address; empty if none is.

        An address that the operator has put in place of a region's own counts as that region's.
        """
        for region in self.regions if self.balance_path else ():
            address = environment.get(region.env, "").strip() or region.base_url
            if address.rstrip("/") == endpoint.rstrip("/"):
                return region.currency
        return ""

    def chats(self, id: str) -> bool:
        """Whether the model can be talked to, as far as its name tells."""
        return not any(re.search(pattern, id) for pattern in self.not_for_chat)

    def model(self, id: str) -> Model | None:
        """What is known of the model, or None."""
        return next((model for model in self.models if model.id == id), None)


PRICES_READ = date(2026, 11, 22)
"""Day the prices below were read, from LiteLLM 1.109.1's table and platform.kimi.ai."""


def _model(
    id: str,
    window: int | None = None,
    prices: tuple[str, str | None, str] | None = None,
    *,
    dearer: tuple[int, str, str] | None = None,
    thinks: bool = False,
    fixed_temperature: bool = False,
    answer_tokens: int | None = None,
    efforts: tuple[str, ...] | None = None,
    refuses: Mapping[str, str] | None = None,
    can_stop_thinking: bool = False,
) -> Model:
    """`prices`: input, cached input, output. `dearer`: above so many tokens of input, so many times
    the price of input (cached or not), so many times that of output.
    """
    input_, cached, output = prices or (None, None, None)
    tiers: tuple[PriceTier, ...] = ()
    if prices is not None and dearer is not None:
        above, more_in, more_out = dearer
        tier = PriceTier(
            above=above,
            input_price=Decimal(prices[0]) * Decimal(more_in),
            cached_price=None if cached is None else Decimal(cached) * Decimal(more_in),
            output_price=Decimal(prices[2]) * Decimal(more_out),
        )
        tiers = (tier,)
    return Model(
        id=id,
        context_window=window,
        input_price=None if input_ is None else Decimal(input_),
        cached_price=None if cached is None else Decimal(cached),
        output_price=None if output is None else Decimal(output),
        price_tiers=tiers,
        thinks=thinks,
        fixed_temperature=fixed_temperature,
        answer_tokens=answer_tokens,
        efforts=efforts,
        refuses=refuses or {},
        can_stop_thinking=can_stop_thinking,
    )


KIMI = Provider(
    name="kimi",
    title="Kimi (Moonshot AI)",
    dialect=Dialect.OPENAI_CHAT,
    # The two open platforms are separate companies' accounts: a key of one is 401 on the other
    # (platform docs, "Errors"). Kimi Code is a third product with its own keys.
    # Their price lists are in dollars and in yuan, and so are their balances.
    regions=(
        Region(
            name="ai", base_url="https://api.moonshot.ai/v1", env="KIMI_BASE_URL", currency="USD"
        ),
        Region(
            name="cn", base_url="https://api.moonshot.cn/v1", env="KIMI_CN_BASE_URL", currency="CNY"
        ),
        Region(name="code", base_url="https://api.kimi.com/coding/v1", env="KIMI_CODE_BASE_URL"),
    ),
    key_prefixes={"sk-kimi-": "code"},
    docs="https://platform.kimi.ai/docs",
    reasoning=Reasoning.CONTENT_FIELD,
    sends_thinking_back=True,
    fixed_temperature=True,
    continuing=Continuing.PARTIAL,
    # Tier 1 of .cn, the lowest paid one; tier 0 (1 at a time, 3 a minute) is learnt from its 429s.
    limits=Limits(rpm=100, concurrency=15),
    models=(
        *(
            # K3 thinks low, high or max, and cannot be told not to (platform docs, "Thinking").
            _model(
                id,
                1_048_576,
                prices,
                thinks=True,
                fixed_temperature=True,
                efforts=("low", "high", "max"),
            )
            for id, prices in (
                ("kimi-k3.1-pro", ("2", "0.20", "10")),
                ("kimi-k3.1-pro-highspeed", ("4", "0.20", "20")),
                ("kimi-k3", ("3", "0.30", "15")),
            )
        ),
        *(
            _model(
                id,
                262_144,
                prices,
                thinks=True,
                fixed_temperature=True,
                efforts=(),
                can_stop_thinking=id == "kimi-k2.6",  # K2.7-code and K3 always think
                # "tool_choice 'required' is incompatible with thinking enabled": a 400, and K2
                # thinks unless told otherwise (platform docs, "Errors").
                refuses={"tool_choice:required": "it answers 400 to that while it thinks."},
            )
            for id, prices in (
                ("kimi-k2.7-code", ("0.95", "0.19", "4")),
                ("kimi-k2.7-code-highspeed", ("1.90", "0.38", "8")),
                ("kimi-k2.6", ("0.95", "0.16", "4")),
            )
        ),
    ),
    account_header="msh-org-id",
    balance_path="/users/me/balance",
    default_models=("kimi-k2.6", "kimi-k3", "kimi-k3.1-pro"),
    # The newest K2.x that is not the code model.
    families={"k2": r"kimi-k2\.\d+", "k3": r"kimi-k3(\.\d+-pro)?"},
    retired=dict.fromkeys(
        (
            # 2026-05-25; two of them also as people write them.
            "kimi-k2-0711-preview",
            "kimi-k2-0711",
            "kimi-k2-0905-preview",
            "kimi-k2-0905",
            "kimi-k2-turbo-preview",
            "kimi-k2-thinking",
            "kimi-k2-thinking-turbo",
            # 2026-08-31
            "kimi-k2.5",
            "moonshot-v1-8k",
            "moonshot-v1-32k",
            "moonshot-v1-128k",
            "moonshot-v1-auto",
            "moonshot-v1-8k-vision-preview",
            "moonshot-v1-32k-vision-preview",
            "moonshot-v1-128k-vision-preview",
            # 2026-01-28 and 2025-11-11
            "kimi-latest",
            "kimi-latest-8k",
            "kimi-latest-32k",
            "kimi-latest-128k",
            "kimi-thinking-preview",
        ),
        "kimi-k2.6",
    ),
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
    keeps_schemas=True,
    reads_slowly=True,
    limits=Limits(concurrency=4),
    absent="It is switched off. Start Parley without PARLEY_LOCAL_MODEL=off to have it.",
    # A model of 135 million parameters says nothing new after a few paragraphs.
    models=(_model("smollm2-135m-instruct", 8192, ("0", "0", "0"), answer_tokens=320),),
    default_models=("smollm2-135m-instruct",),
)

# Addresses and errors below are those of the recordings in tests/fixtures/providers; which options
# a model takes is, where no source stands beside it, from the API reference named in `docs`.

OPENAI = Provider(
    name="openai",
    title="OpenAI",
    dialect=Dialect.OPENAI_CHAT,
    regions=(Region(name="global", base_url="https://api.openai.com/v1", env="OPENAI_BASE_URL"),),
    docs="https://platform.openai.com/docs/api-reference/chat",
    keeps_schemas=True,
    account_header="openai-organization",
    # platform.openai.com/docs/guides/rate-limits, "Rate limits in headers".
    limit_headers={"rpm": "x-ratelimit-limit-requests", "tpm": "x-ratelimit-limit-tokens"},
    # Its list tells nothing but names: platform.openai.com/docs/models.
    not_for_chat=(
        "embedding",
        "moderation",
        "whisper",
        "transcribe",
        "tts",
        "audio",
        "realtime",
        "dall-e",
        "image",
        "sora",
        "^(babbage|davinci)-002$",
        "instruct",
    ),
    # Its reasoning models answer 400 unsupported_value to any temperature but 1, and new models
    # are reasoning models: who is not listed is taken for one.
    fixed_temperature=True,
    models=(
        *(
            _model(
                id,
                922_000,
                prices,
                dearer=(272_000, "2", "1.5"),
                thinks=True,
                fixed_temperature=True,
            )
            for id, prices in (
                ("gpt-6.1-sol", ("2", "0.1", "10")),
                ("gpt-6.1-terra", ("1", "0.05", "5")),
                ("gpt-6-astra", ("10", "1", "50")),
                ("gpt-6-sol", ("2", "0.2", "10")),
                ("gpt-6-luna", ("0.1", "0.01", "0.5")),
            )
        ),
        *(
            _model(id, 272_000, prices, thinks=True, fixed_temperature=True)
            for id, prices in (
                ("gpt-5.4-mini", ("0.75", "0.075", "4.5")),
                ("gpt-5-mini", ("0.25", "0.025", "2")),
            )
        ),
        _model("gpt-4.1", 1_047_576, ("2", "0.5", "8")),
        _model("gpt-4o", 128_000, ("2.5", "1.25", "10")),
        _model("gpt-4o-mini", 128_000, ("0.15", "0.075", "0.6")),
    ),
    default_models=("gpt-6.1-terra", "gpt-6.1-sol", "gpt-6-luna", "gpt-4.1", "gpt-4o-mini"),
)

ANTHROPIC = Provider(
    name="anthropic",
    title="Anthropic",
    dialect=Dialect.ANTHROPIC_MESSAGES,
    regions=(
        Region(name="global", base_url="https://api.anthropic.com", env="ANTHROPIC_BASE_URL"),
    ),
    key_prefixes={"sk-ant-": "global"},
    docs="https://docs.anthropic.com/en/api/messages",
    account_header="anthropic-organization-id",
    # docs.anthropic.com/en/api/rate-limits, "Response headers".
    limit_headers={
        "rpm": "anthropic-ratelimit-requests-limit",
        "tpm": "anthropic-ratelimit-tokens-limit",
    },
    token_limit_field="max_tokens",  # noqa: S106 - a field's name
    # From Opus 4.7 on any temperature is a 400, "`temperature` is deprecated for this model"
    # (BerriAI/litellm#26444). Before, 4.5 refused "temperature and top_p" together
    # (browseros-ai/BrowserOS#208). Who is not listed is taken for new.
    fixed_temperature=True,
    either_temperature_or_top_p=True,
    leaves_out=frozenset({"seed"}),  # not among the parameters of its API reference
    # Which efforts a model knows, and which think unasked:
    # jeremychone/rust-genai@6d084a0:src/adapter/adapters/anthropic/ant_model.rs.
    efforts=("low", "medium", "high", "xhigh", "max"),
    refuses={"response_format:json_object": "it keeps to a schema only: ask for json_schema."},
    models=(
        *(
            _model(id, 1_000_000, prices, thinks=True, fixed_temperature=True)
            for id, prices in (
                ("claude-opus-5-5", ("4", "0.2", "20")),
                ("claude-opus-5", ("5", "0.5", "25")),
                ("claude-sonnet-5-5", ("2", "0.1", "10")),
                ("claude-sonnet-5", ("2", "0.2", "10")),
            )
        ),
        _model(
            "claude-haiku-5-5",
            1_000_000,
            ("0.1", "0.01", "0.5"),
            dearer=(100_000, "5", "5"),
            thinks=True,
            fixed_temperature=True,
        ),
        _model("claude-fable-5-1", 1_000_000, ("10", "0.25", "50"), fixed_temperature=True),
        _model(
            "claude-sonnet-4-6",
            1_000_000,
            ("3", "0.3", "15"),
            efforts=("low", "medium", "high", "max"),
        ),
        _model("claude-haiku-4-5", 200_000, ("1", "0.1", "5"), efforts=()),
    ),
    default_models=("claude-sonnet-5-5", "claude-sonnet-5", "claude-haiku-5-5"),
)

GEMINI = Provider(
    name="gemini",
    title="Google Gemini",
    dialect=Dialect.GEMINI,
    regions=(
        Region(
            name="global",
            base_url="https://generativelanguage.googleapis.com",
            env="GEMINI_BASE_URL",
        ),
    ),
    docs="https://ai.google.dev/api/generate-content",
    token_limit_field="maxOutputTokens",  # noqa: S106 - a field's name
    # These take generateContent, as their entries say, and answer with pictures or sound
    # (ai.google.dev/gemini-api/docs/models).
    not_for_chat=("-image", "-tts", "-audio", "^lyria", "embedding"),
    # Gemini 3 and later know a thinkingLevel, the Pro ones not all four; 2.5 has a budget of tokens
    # instead and refuses the level ("Gemini 2.5 series models don't support thinkingLevel",
    # ai.google.dev/gemini-api/docs/thinking).
    efforts=("minimal", "low", "medium", "high"),
    models=(
        *(
            _model(id, 1_048_576, prices, thinks=True)
            for id, prices in (
                ("gemini-4-argon", ("2", "0.1", "10")),
                ("gemini-3.8-flash", ("0.75", "0.075", "3.75")),
                ("gemini-3.5-flash", ("1.5", "0.15", "9")),
                ("gemini-3.5-flash-lite", ("0.3", "0.03", "2.5")),
            )
        ),
        _model(
            "gemini-3.1-pro-preview",
            1_048_576,
            ("2", "0.2", "12"),
            dearer=(200_000, "2", "1.5"),
            thinks=True,
        ),
        _model(
            "gemini-2.5-pro",
            1_048_576,
            ("1.25", "0.125", "10"),
            dearer=(200_000, "2", "1.5"),
            thinks=True,
            efforts=(),
        ),
        _model("gemini-2.5-flash", 1_048_576, ("0.3", "0.03", "2.5"), thinks=True, efforts=()),
    ),
    default_models=("gemini-3.8-flash", "gemini-3.5-flash", "gemini-2.5-flash"),
)

DEEPSEEK = Provider(
    name="deepseek",
    title="DeepSeek",
    dialect=Dialect.OPENAI_CHAT,
    regions=(
        Region(name="global", base_url="https://api.deepseek.com/v1", env="DEEPSEEK_BASE_URL"),
    ),
    docs="https://api-docs.deepseek.com",
    reasoning=Reasoning.CONTENT_FIELD,
    token_limit_field="max_tokens",  # noqa: S106 - a field's name
    leaves_out=frozenset({"seed"}),  # not among the parameters of its API reference
    models=(
        _model("deepseek-v4-pro", 1_000_000, ("1.32", "0.044", "3.96"), thinks=True),
        _model("deepseek-v4-flash", 1_000_000, ("0.3", "0.006", "1.2"), thinks=True),
    ),
    default_models=("deepseek-v4-flash", "deepseek-v4-pro"),
    # Ended 2026-07-24.
    retired={"deepseek-chat": "deepseek-v4-flash", "deepseek-reasoner": "deepseek-v4-flash"},
)

OPENROUTER = Provider(
    name="openrouter",
    title="OpenRouter",
    dialect=Dialect.OPENAI_CHAT,
    regions=(
        Region(name="global", base_url="https://openrouter.ai/api/v1", env="OPENROUTER_BASE_URL"),
    ),
    key_prefixes={"sk-or-": "global"},
    docs="https://openrouter.ai/docs",
    note="Passes requests on to other providers; what it costs is in its own list of models.",
    reasoning=Reasoning.PLAIN_FIELD,
    token_limit_field="max_tokens",  # noqa: S106 - a field's name
    # `/models` is public and answers with any key; this one is the list "filtered by user provider
    # preferences" and wants a good one (openrouter.ai/docs, API reference, "Models").
    catalog_path="/models/user",
    default_models=("moonshotai/kimi-k3", "openrouter/auto"),
)

GROQ = Provider(
    name="groq",
    title="Groq",
    dialect=Dialect.OPENAI_CHAT,
    regions=(
        Region(name="global", base_url="https://api.groq.com/openai/v1", env="GROQ_BASE_URL"),
    ),
    key_prefixes={"gsk_": "global"},
    docs="https://console.groq.com/docs/api-reference",
    # Its refusals for tokens a day name a limit, what is used of it, and a wait of minutes.
    rolling_day=True,
    # Its header for requests is about those of a day (console.groq.com/docs/rate-limits).
    limit_headers={"tpm": "x-ratelimit-limit-tokens"},
    reasoning=Reasoning.PLAIN_FIELD,
    # Speech in, speech out, and guards (console.groq.com/docs/models); its list does not tell.
    not_for_chat=("whisper", "tts", "orpheus", "guard"),
    models=(
        _model("openai/gpt-oss-120b", 131_072, ("0.15", "0.075", "0.6"), thinks=True),
        _model("openai/gpt-oss-20b", 131_072, ("0.075", "0.0375", "0.3"), thinks=True),
        _model("qwen/qwen3.8-27b", 131_072, ("0.8", None, "4"), thinks=True),
    ),
    default_models=("openai/gpt-oss-120b", "openai/gpt-oss-20b"),
)

MISTRAL = Provider(
    name="mistral",
    title="Mistral",
    dialect=Dialect.OPENAI_CHAT,
    regions=(Region(name="global", base_url="https://api.mistral.ai/v1", env="MISTRAL_BASE_URL"),),
    docs="https://docs.mistral.ai/api",
    token_limit_field="max_tokens",  # noqa: S106 - a field's name
    # Its list says who chats; what these are for it does not (docs.mistral.ai, "Models").
    not_for_chat=("embed", "moderation", "-ocr", "-transcribe", "-tts"),
    # Whatever it does not know is a 422 (extra_forbidden); it tells the usage without being asked.
    asks_for_usage=False,
    continuing=Continuing.PREFIX,
    renames={"seed": "random_seed"},
    # Some of its models take an effort, and one that does not answers 400
    # (mistralai/mistral-vibe#710); its list does not tell which.
    leaves_out=frozenset({"reasoning_effort"}),
    models=(
        _model("mistral-large-4", 1_048_576, ("1.36", "0.14", "4.18")),
        _model("mistral-large-latest", 262_144, ("0.5", "0.05", "1.5")),
        _model("mistral-medium-latest", 262_144, ("1.5", "0.15", "7.5")),
        _model("mistral-small-latest", 262_144, ("0.15", "0.015", "0.6")),
        _model("codestral-latest", 128_000, ("0.3", "0.03", "0.9")),
    ),
    default_models=("mistral-small-latest", "mistral-large-latest", "mistral-large-4"),
    # `{"object":"error","message":"Invalid model: …","type":"invalid_model","code":"1500"}` with a
    # 400 (mistralai/mistral-vibe#617, tmc/langchaingo#1233).
    error_map={"invalid_model": "model"},
)

XAI = Provider(
    name="xai",
    title="xAI",
    dialect=Dialect.OPENAI_CHAT,
    regions=(Region(name="global", base_url="https://api.x.ai/v1", env="XAI_BASE_URL"),),
    key_prefixes={"xai-": "global"},
    docs="https://docs.x.ai/docs/api-reference",
    reasoning=Reasoning.CONTENT_FIELD,
    not_for_chat=("image", "video"),  # grok-2-image, grok-imagine-video (docs.x.ai, "Models")
    models=tuple(
        # "`stop` parameters are not supported by reasoning models. Adding them in the request would
        # result in an error" (docs.x.ai, guide "Reasoning").
        _model(
            id,
            window,
            prices,
            dearer=(200_000, "2", "2"),
            thinks=True,
            refuses={"stop": "its reasoning models answer 400 to stop sequences."},
        )
        for id, window, prices in (
            ("grok-4.7", 500_000, ("2", "0.5", "6")),
            ("grok-4.6", 500_000, ("2", "0.5", "6")),
            ("grok-4.5", 500_000, ("2", "0.3", "6")),
            ("grok-4.3", 1_000_000, ("1.25", "0.2", "2.5")),
            ("grok-build-0.1", 256_000, ("1", "0.2", "2")),
        )
    ),
    default_models=("grok-4.7", "grok-4.6", "grok-4.5", "grok-4.3"),
)

TOGETHER = Provider(
    name="together",
    title="Together AI",
    dialect=Dialect.OPENAI_CHAT,
    regions=(
        Region(name="global", base_url="https://api.together.xyz/v1", env="TOGETHER_BASE_URL"),
    ),
    docs="https://docs.together.ai/reference/chat-completions",
    token_limit_field="max_tokens",  # noqa: S106 - a field's name
    models=(
        _model("moonshotai/Kimi-K3", 1_048_576, ("3", "0.3", "15"), thinks=True),
        _model(
            "deepseek-ai/DeepSeek-V4-Pro-0813", 1_048_576, ("1.32", "0.13", "3.96"), thinks=True
        ),
        _model("zai-org/GLM-5.3", 1_048_575, ("1.4", "0.26", "4.4"), thinks=True),
        _model("openai/gpt-oss-120b", 131_072, ("0.15", None, "0.6"), thinks=True),
    ),
    default_models=("openai/gpt-oss-120b", "zai-org/GLM-5.3", "moonshotai/Kimi-K3"),
)

# The last two run at home. A private address is the operator's to allow, so there is none by
# default: without it the provider is known and not there.

OLLAMA = Provider(
    name="ollama",
    title="Ollama",
    dialect=Dialect.OLLAMA,
    regions=(Region(name="own", base_url="", env="OLLAMA_BASE_URL"),),
    docs="https://docs.ollama.com/api",
    keeps_schemas=True,
    reads_slowly=True,
    note="Models on a machine of your own.",
    needs_key=False,
    absent="Set OLLAMA_BASE_URL to its address, http://localhost:11434 by its default.",
    token_limit_field="num_predict",  # noqa: S106 - a field's name
    leaves_out=frozenset({"tool_choice"}),
    not_for_chat=("embed", "^bge-", "minilm", "rerank"),  # ollama.com/search?c=embedding
    limits=Limits(concurrency=4),
)

VLLM = Provider(
    name="vllm",
    title="vLLM",
    dialect=Dialect.OPENAI_CHAT,
    regions=(Region(name="own", base_url="", env="VLLM_BASE_URL"),),
    docs="https://docs.vllm.ai/en/latest/serving/openai_compatible_server.html",
    keeps_schemas=True,
    note="Models on machines of your own.",
    needs_key=False,
    absent="Set VLLM_BASE_URL to its address, for example http://localhost:8000/v1.",
    reasoning=Reasoning.PLAIN_FIELD,
    token_limit_field="max_tokens",  # noqa: S106 - a field's name
    not_for_chat=("embed", "bge-", "rerank"),  # what it serves besides, by the usual names
    continuing=Continuing.FINAL_MESSAGE,
)

PROVIDERS: Mapping[str, Provider] = {
    row.name: row
    for row in (
        KIMI, OPENAI, ANTHROPIC, GEMINI, DEEPSEEK, OPENROUTER, GROQ, MISTRAL, XAI, TOGETHER,
        OLLAMA, VLLM, LOCAL,
    )
}  # fmt: skip
"""By name, in the order in which people are shown them."""
