"""The official OpenAI client works unchanged, streaming and not."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import openai
import pytest
import pytest_asyncio
from openai.types.chat import ChatCompletionToolParam

from tests.eventually import eventually
from tests.systems import Client, RunningSystem

MODEL = "kimi/kimi-k2.6"


@pytest_asyncio.fixture
async def sdk(running_system: RunningSystem) -> AsyncGenerator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(
        base_url=f"{running_system.url}/v1", api_key=running_system.token, timeout=30
    ) as client:
        yield client


async def test_a_chat_is_completed(sdk: openai.AsyncOpenAI) -> None:
    answer = await sdk.chat.completions.create(
        model=MODEL, messages=[{"role": "user", "content": "[[think: Hm. ; text: Hello there.]]"}]
    )

    [choice] = answer.choices
    assert choice.message.content == "Hello there."
    assert choice.message.model_dump()["reasoning_content"] == "Hm."
    assert choice.finish_reason == "stop"
    assert answer.model == MODEL
    assert answer.usage is not None
    assert answer.usage.total_tokens > 0


async def test_a_chat_is_streamed(sdk: openai.AsyncOpenAI) -> None:
    stream = await sdk.chat.completions.create(
        model=MODEL,
        messages=[
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "[[think: Hm. ; text: Hello there, you two.]]"},
        ],
        stream=True,
        stream_options={"include_usage": True},
    )
    chunks = [chunk async for chunk in stream]

    deltas = [chunk.choices[0].delta for chunk in chunks if chunk.choices]
    assert deltas[0].role == "assistant"
    assert "".join(delta.content or "" for delta in deltas) == "Hello there, you two."
    thought = [delta.model_dump().get("reasoning_content") or "" for delta in deltas]
    assert "".join(thought) == "Hm."
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == "stop"
    assert chunks[-1].usage is not None
    assert len({chunk.id for chunk in chunks}) == 1


async def test_tools_are_called(sdk: openai.AsyncOpenAI) -> None:
    tool: ChatCompletionToolParam = {
        "type": "function",
        "function": {"name": "get_weather", "parameters": {"type": "object", "properties": {}}},
    }
    prompt = '[[tool: get_weather {"city":"Oslo"} ; finish: tool_calls]]'
    whole = await sdk.chat.completions.create(
        model=MODEL, messages=[{"role": "user", "content": prompt}], tools=[tool]
    )
    stream = await sdk.chat.completions.create(
        model=MODEL, messages=[{"role": "user", "content": prompt}], tools=[tool], stream=True
    )
    named, arguments, reasons = "", "", list[str | None]()
    async for chunk in stream:
        for call in chunk.choices[0].delta.tool_calls or []:
            assert call.function is not None
            named += call.function.name or ""
            arguments += call.function.arguments or ""
        reasons.append(chunk.choices[0].finish_reason)

    [call] = whole.choices[0].message.tool_calls or []
    assert call.type == "function"
    assert (call.function.name, call.function.arguments) == ("get_weather", '{"city":"Oslo"}')
    assert (named, arguments, reasons[-1]) == ("get_weather", '{"city":"Oslo"}', "tool_calls")


async def test_a_persona_answers(sdk: openai.AsyncOpenAI) -> None:
    answer = await sdk.chat.completions.create(
        model="persona/riley-engstrom",
        messages=[{"role": "user", "content": "[[text: Riley here.]]"}],
        max_tokens=64,
    )

    assert answer.choices[0].message.content == "Riley here."


async def test_models_are_listed_and_read(sdk: openai.AsyncOpenAI) -> None:
    ids = [model.id async for model in sdk.models.list()]

    assert MODEL in ids
    assert "persona/riley-engstrom" in ids
    assert (await sdk.models.retrieve(MODEL)).id == MODEL


async def test_an_unknown_model_is_404_with_the_nearest_names(sdk: openai.AsyncOpenAI) -> None:
    for unknown, near in (
        ("kimi/kimi-k2.66", MODEL),
        ("persona/riley-engström", "riley-engstrom"),
        ("kimi/kimi-k2.5", MODEL),
        ("panel/brawl", "panel/consensus"),
    ):
        with pytest.raises(openai.NotFoundError) as caught:
            await sdk.chat.completions.create(
                model=unknown, messages=[{"role": "user", "content": "Hello"}]
            )
        assert caught.value.code == "model_not_found"
        assert near in caught.value.message
        assert caught.value.response.headers["x-should-retry"] == "false"


async def test_a_wrong_token_is_openais_authentication_error(running_system: RunningSystem) -> None:
    async with openai.AsyncOpenAI(base_url=f"{running_system.url}/v1", api_key="wrong") as sdk:
        with pytest.raises(openai.AuthenticationError) as caught:
            await sdk.models.list()
    assert caught.value.code == "invalid_api_key"


async def test_what_a_persona_cannot_do_is_refused(sdk: openai.AsyncOpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        await sdk.chat.completions.create(
            model="persona/riley-engstrom",
            messages=[{"role": "user", "content": "Hello"}],
            response_format={"type": "json_object"},
        )
    assert caught.value.param == "response_format"


async def test_a_wish_that_the_model_cannot_keep_is_refused(sdk: openai.AsyncOpenAI) -> None:
    tool: ChatCompletionToolParam = {"type": "function", "function": {"name": "get_weather"}}
    with pytest.raises(openai.BadRequestError, match="while it thinks") as caught:
        await sdk.chat.completions.create(
            model=MODEL,
            messages=[{"role": "user", "content": "Rain?"}],
            tools=[tool],
            tool_choice="required",
        )
    assert (caught.value.param, caught.value.code) == ("tool_choice", "unsupported_parameter")


@pytest.mark.parametrize("stream", [False, True])
async def test_a_refused_request_is_an_error_and_is_asked_once(
    sdk: openai.AsyncOpenAI, client: Client, *, stream: bool
) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        await sdk.chat.completions.create(
            model=MODEL,
            messages=[{"role": "user", "content": f"[[like: filtered]] {stream}"}],
            stream=stream,
        )

    assert caught.value.response.headers["x-should-retry"] == "false"
    _, listed = await client.ask("GET", "/api/v1/discussions?limit=1")
    [turn] = (await client.read(listed["items"][0]["id"]))["turns"]
    assert (turn["state"], turn["attempts"]) == ("failed", 1)


async def test_a_stream_that_breaks_says_so(sdk: openai.AsyncOpenAI) -> None:
    stream = await sdk.chat.completions.create(
        model=MODEL, messages=[{"role": "user", "content": "[[cut]]"}], stream=True
    )
    heard: list[str] = []

    async def listen() -> None:
        async for chunk in stream:
            # Not in one go: what came before the error counts.
            heard.append(chunk.choices[0].delta.content or "")  # noqa: PERF401

    with pytest.raises(openai.APIError) as caught:
        await listen()

    assert "".join(heard).startswith("This answer")
    assert caught.value.code in {"interrupted", "provider_midstream"}


async def test_a_client_that_leaves_does_not_stop_the_run(
    sdk: openai.AsyncOpenAI, client: Client
) -> None:
    stream = await sdk.chat.completions.create(
        model=MODEL,
        messages=[{"role": "user", "content": "[[rate: 60 ; many: 60]]"}],
        stream=True,
    )
    discussion = stream.response.headers["x-parley-discussion"]
    async for chunk in stream:
        if chunk.choices[0].delta.content:
            break
    await stream.close()

    async def completed() -> bool:
        return (await client.read(discussion))["state"] == "completed"

    await eventually(completed)


async def test_what_is_parked_is_given_up(sdk: openai.AsyncOpenAI, client: Client) -> None:
    # A model of its own: its gate stays closed for whoever asks after us.
    with pytest.raises(openai.NotFoundError) as caught:
        await sdk.chat.completions.create(
            model="kimi/kimi-k3", messages=[{"role": "user", "content": "[[like: gone]]"}]
        )
    assert caught.value.code == "model_not_found"
    _, listed = await client.ask("GET", "/api/v1/discussions?limit=1")
    discussion = listed["items"][0]["id"]

    async def cancelled() -> bool:
        return (await client.read(discussion))["state"] == "cancelled"

    await eventually(cancelled)


@pytest.mark.parametrize("model", ["panel/parallel", "panel/parallel:riley-engstrom,ines-duarte"])
async def test_a_panel_answers_as_a_model(sdk: openai.AsyncOpenAI, model: str) -> None:
    answer = await sdk.chat.completions.create(
        model=model, messages=[{"role": "user", "content": "[[text: My view.]]"}]
    )

    content = answer.choices[0].message.content or ""
    assert "## Riley Engstrom\n\nMy view." in content
    assert content.count("My view.") == (2 if ":" in model else 4)
    assert answer.usage is not None
    assert answer.usage.total_tokens > 0


async def test_a_panel_streams_its_debate_as_thoughts_and_the_result_as_the_answer(
    sdk: openai.AsyncOpenAI,
) -> None:
    stream = await sdk.chat.completions.create(
        model="panel/debate:riley-engstrom,ines-duarte",
        messages=[{"role": "user", "content": "[[text: A point.]]"}],
        stream=True,
    )
    thought, content = "", ""
    async for chunk in stream:
        for choice in chunk.choices:
            thought += choice.delta.model_dump().get("reasoning_content") or ""
            content += choice.delta.content or ""

    assert "**Riley Engstrom** says:\n\nA point." in thought
    assert "moderates" in thought
    assert content
    assert content in thought


async def test_a_panel_of_nobody_or_with_tools_is_refused(sdk: openai.AsyncOpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as unknown:
        await sdk.chat.completions.create(
            model="panel/debate:riley-engstrom,nobody-at-all",
            messages=[{"role": "user", "content": "Hello"}],
        )
    assert "nobody-at-all" in str(unknown.value)
    with pytest.raises(openai.BadRequestError):
        await sdk.chat.completions.create(
            model="panel/debate:,", messages=[{"role": "user", "content": "Hello"}]
        )
    with pytest.raises(openai.BadRequestError):
        await sdk.chat.completions.create(
            model="panel/debate",
            messages=[{"role": "user", "content": "Hello"}],
            response_format={"type": "json_object"},
        )
