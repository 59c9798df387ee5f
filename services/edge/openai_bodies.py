"""What OpenAI's clients send to /v1/chat/completions, as much of it as Parley can keep.

What it cannot keep is refused; what concerns OpenAI only (`user`, `metadata`) is passed over.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, cast
from urllib.parse import urlsplit

from pydantic import AfterValidator, AliasChoices, BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from contracts.attempts import Message, Parameters
from services.edge.bodies import Name, Tokens

MESSAGES = 2_000
CONTENT = 2_000_000
"""Characters of one message."""


class _Lenient(BaseModel):
    model_config = ConfigDict(
        extra="ignore", strict=True, allow_inf_nan=False, hide_input_in_errors=True, frozen=True
    )


def _parts(parts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    for part in parts:
        match part:
            case {"type": "text", "text": str()}:
                continue
            case {"type": "image_url", "image_url": {"url": str(url)}}:
                # A model server nearby might fetch what only it can reach.
                if urlsplit(url).scheme in {"https", "data"}:
                    continue
                raise PydanticCustomError("image_address", "an image is an https: or data: address")
            case _:
                raise PydanticCustomError("part", "a part is a text or an image_url")
    return parts


Parts = Annotated[list[dict[str, Any]], Field(max_length=256), AfterValidator(_parts)]
Text = Annotated[str, Field(max_length=CONTENT)]


class MessageBody(_Lenient):
    """One message of the conversation."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: Text | Parts | None = None
    name: Annotated[str, Field(max_length=200)] | None = None
    reasoning_content: Text | None = None
    tool_calls: Annotated[list[dict[str, Any]], Field(max_length=128)] | None = None
    tool_call_id: Annotated[str, Field(max_length=200)] | None = None

    @model_validator(mode="after")
    def _says_something(self) -> MessageBody:
        if self.content is None and not self.tool_calls:
            raise PydanticCustomError("empty_message", "has neither content nor tool_calls")
        return self

    def message(self) -> Message:
        """In our own form; `developer` is what others call `system`."""
        return Message(
            role="system" if self.role == "developer" else self.role,
            content=self.content,
            name=self.name,
            reasoning=self.reasoning_content,
            tool_calls=self.tool_calls,
            tool_call_id=self.tool_call_id,
        )


UNKEPT = (
    "audio",
    "frequency_penalty",
    "function_call",
    "functions",
    "logit_bias",
    "prediction",
    "presence_penalty",
    "top_logprobs",
)
"""Wishes that are refused when they say anything."""


class StreamOptions(_Lenient):
    """What else a stream is to tell."""

    include_usage: bool = False


Stop = Annotated[str, Field(min_length=1, max_length=200)]


class CompletionBody(_Lenient):
    """A chat to be completed."""

    model: Name
    """`provider/model`, or `persona/<slug>` with its default model."""
    messages: Annotated[list[MessageBody], Field(min_length=1, max_length=MESSAGES)]
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_completion_tokens: Annotated[
        Tokens | None,
        Field(validation_alias=AliasChoices("max_completion_tokens", "max_tokens")),
    ] = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    stop: Stop | Annotated[list[Stop], Field(max_length=4)] | None = None
    response_format: dict[str, Any] | None = None
    tools: Annotated[list[dict[str, Any]], Field(max_length=128)] | None = None
    tool_choice: str | dict[str, Any] | None = None
    reasoning_effort: Annotated[str, Field(max_length=20)] | None = None
    seed: Annotated[int, Field(ge=-(2**53), le=2**53)] | None = None
    n: Literal[1] | None = None
    logprobs: Literal[False] | None = None
    store: bool | None = None
    """Every call is a stored discussion; false: what was said is deleted once it was answered."""

    @model_validator(mode="before")
    @classmethod
    def _no_more_than_we_can_keep(cls, told: object) -> object:
        if not isinstance(told, dict):
            return told
        wishes = cast("dict[str, Any]", told)
        for name in UNKEPT:
            if wishes.get(name):
                raise _unsupported(name)
        return wishes

    @property
    def includes_usage(self) -> bool:
        """Whether the stream is to end with the usage."""
        return self.stream_options is not None and self.stream_options.include_usage

    def parameters(self) -> Parameters:
        """In our own form; 0 tokens: as many as the model's default."""
        return Parameters(
            max_completion_tokens=self.max_completion_tokens or 0,
            temperature=self.temperature,
            top_p=self.top_p,
            stop=[self.stop] if isinstance(self.stop, str) else self.stop,
            response_format=self.response_format,
            tools=self.tools,
            tool_choice=self.tool_choice,
            reasoning_effort=self.reasoning_effort,
            seed=self.seed,
        )


def _unsupported(name: str) -> PydanticCustomError:
    return PydanticCustomError("unsupported", "{name} cannot be kept here", {"name": name})
