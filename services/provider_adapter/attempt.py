"""One attempt: exactly one request to a provider, its text as it comes, and exactly one end.

    lease the key → still in time? → send → head → frames → finish reason
    anything else, at any point: a ProviderError that says why, and whether anything was sent

Nothing here tries again. Whether and when to is decided in one place, and that is not here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import aiohttp
import msgspec
import structlog

from contracts.addresses import BadAddress
from contracts.attempts import RunAttempt
from contracts.failures import Evidence, FailureClass
from contracts.providers import Provider
from contracts.stream import (
    ChunkKind,
    ProviderError,
    StreamChunk,
    StreamCompleted,
    StreamStarted,
    Usage,
    UsageStatus,
)
from contracts.subjects import chunk_subject
from services.provider_adapter import classify
from services.provider_adapter.answer import Unreadable
from services.provider_adapter.beat import IDLE_BEATS, Beat
from services.provider_adapter.dialects import Speech
from services.provider_adapter.keys import Keyring, NoLease
from services.provider_adapter.listener import Foreign, Interrupted, Listener, TooLarge
from services.provider_adapter.outbox import Outbox
from services.provider_adapter.patience import Clockwork, Patience
from services.provider_adapter.session import Sent, beginning, lower_names
from services.provider_adapter.ways import HINT, Ways, not_allowed
from services.provider_adapter.wishes import Unsayable, notes
from shared.redaction import REDACTOR

log = structlog.stdlib.get_logger("provider_adapter")

AGAIN_AFTER: Final = 2.0
"""Seconds after the broker came back."""

_PERMANENT: Final = frozenset(
    {FailureClass.AUTH, FailureClass.MODEL, FailureClass.BILLING, FailureClass.REQUEST}
)
"""Also in the middle of a stream these are what they are: going on cannot mend them."""

_encode: Final = msgspec.json.Encoder().encode


class Failed(Exception):
    """The attempt ends without an answer."""

    def __init__(self, class_: FailureClass, evidence: Evidence | str, *, hint: str = "") -> None:
        self.evidence = Evidence(message=evidence) if isinstance(evidence, str) else evidence
        super().__init__(self.evidence.message)
        self.class_ = class_
        self.hint = hint


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What all attempts of this process share."""

    ways: Ways
    keys: Keyring
    outbox: Outbox
    beat: Beat
    publish: Callable[[str, bytes], Awaitable[None]]
    """Live text: it may be lost."""
    connected: Callable[[], bool]
    """Whether the broker is there; until it is, text is kept together."""


class Attempt:
    """One request, from its acceptance to its outcome."""

    def __init__(
        self,
        request: RunAttempt,
        row: Provider,
        speech: Speech,
        around: Surroundings,
        patience: Patience,
    ) -> None:
        self.request = request
        self._row = row
        self._speech = speech
        self._around = around
        self._patience = patience
        self._subject = chunk_subject(request.workspace, request.discussion, request.attempt)
        self._listener = Listener(speech, request.prefix)
        self._answer = self._listener.answer
        self._content: aiohttp.StreamReader | None = None
        self._idle_beats = 0
        self._sent = Sent()
        self._times = Clockwork()
        self._now = asyncio.get_running_loop().time
        self._began = self._spoke = self._now()
        self._first_token: float | None = None
        self._provider_request = ""
        self._account = ""
        self._secret = ""
        self._task: asyncio.Task[None] | None = None
        self._was_away = False
        self._again_at: float | None = None
        self._stopped = Failed(FailureClass.AMBIGUOUS, "")
        self._settled = False

    # --- From outside -----------------------------------------------------------------------

    def start(self) -> asyncio.Task[None]:
        """Begin. The task never fails: its outcome is posted."""
        self._task = asyncio.create_task(self._run(), name=f"attempt {self.request.attempt}")
        self._task.add_done_callback(lambda _: self._settle())
        return self._task

    def stop(self, hint: str, why: str) -> None:
        """End it now; what came until then goes into its outcome."""
        if self._task is not None and not self._task.done():
            self._stopped = Failed(FailureClass.AMBIGUOUS, why, hint=hint)
            self._task.cancel()

    async def look_after(self) -> None:
        """Called now and then: give up what is lost, give a sign of life."""
        now = self._now()
        if self._again_at is not None and now >= self._again_at:
            await self.say_again()
            self._again_at = None
        if self._times.enough(self._patience, now):
            self.stop("finished", "")
        elif datetime.now(UTC) >= self.request.deadline:
            self.stop("deadline", "the deadline passed before the answer was whole")
        elif lost := self._times.lost(self._patience, now):
            self.stop("stalled", lost)
        elif now - self._spoke >= self._patience.pulse.total_seconds() and self._around.connected():
            await self._publish(ChunkKind.TEXT, self._answer.length(ChunkKind.TEXT), "")

    async def say_again(self) -> None:
        """Publish all text once more: the broker was away, and its memory may be gone.

        And again a little later, for who comes back after us, and for the stream in memory, which
        is perhaps only being made.
        """
        self._was_away = False
        self._again_at = self._now() + AGAIN_AFTER
        for kind, offset, text in self._answer.again():
            await self._publish(kind, offset, text)

    # --- The story --------------------------------------------------------------------------

    async def _run(self) -> None:
        try:
            await self._converse()
            await self._say()
            self._settle()
        except Failed as failed:
            await self._say()
            self._settle(failed)
        except Exception as error:
            # Whatever it was, discussion must hear that the attempt has ended.
            log.exception("attempt failed by our own fault", attempt=self.request.attempt)
            ours = f"internal error: {type(error).__name__}"
            self._settle(Failed(FailureClass.UNKNOWN, ours, hint="internal"))
        finally:
            REDACTOR.forget(self._secret)

    async def _converse(self) -> None:
        request = self.request
        try:
            session = self._around.ways.to(request.endpoint, request.custom)
        except BadAddress as error:
            raise Failed(FailureClass.REQUEST, not_allowed(error), hint=HINT) from error
        key = await self._credentials()
        try:
            path, headers, body = self._speech.to_wire(request, self._row)
        except Unsayable as error:
            raise Failed(FailureClass.REQUEST, str(error), hint="parameter") from error
        if datetime.now(UTC) >= request.expires_at:
            late = "it had waited too long to be sent"
            raise Failed(FailureClass.TRANSIENT, late, hint="expired")
        self._times.sent = self._now()
        try:
            async with session.post(
                request.endpoint.rstrip("/") + path,
                data=body,
                headers=headers | key,
                allow_redirects=False,
                trace_request_ctx=self._sent,
            ) as response:
                self._times.heard = self._now()
                await self._hear_head(response)
                await self._hear_body(response.content)
        except (aiohttp.ClientError, OSError) as error:
            if not self._answer.finish_reason:
                raise self._broken(error) from error
        except (Interrupted, Foreign, Unreadable, TooLarge) as error:
            raise self._misheard(error) from error

    async def _credentials(self) -> dict[str, str]:
        request = self.request
        if request.key is None:
            return {}
        try:
            self._secret = await self._around.keys.secret(
                request.key,
                workspace=request.workspace,
                request=request.attempt,
                endpoint=request.endpoint,
            )
        except NoLease as error:
            raise Failed(FailureClass.TRANSIENT, str(error), hint="lease") from error
        # The keyring may drop it before we have done: until then, we are who knows it.
        REDACTOR.learn(self._secret)
        return self._speech.credentials(self._secret)

    async def _hear_head(self, response: aiohttp.ClientResponse) -> None:
        headers = lower_names(response)
        self._provider_request = classify.request_id(headers)
        self._account = classify.account(self._row, headers)
        if not 200 <= response.status < 300:
            body = await beginning(response)
            now = datetime.now(UTC)
            class_, evidence, hint = self._speech.failure(
                response.status, headers, body, self._row, now=now
            )
            raise Failed(class_, evidence, hint=hint)
        if headers.get("content-encoding", "identity").lower() != "identity":
            raise Failed(FailureClass.UNKNOWN, "it is compressed, which was not asked for")
        request = self.request
        self._around.outbox.post(
            StreamStarted(
                at=datetime.now(UTC),
                workspace=request.workspace,
                discussion=request.discussion,
                turn=request.turn,
                attempt=request.attempt,
                model=request.model,
                request=self._provider_request,
            )
        )

    async def _hear_body(self, content: aiohttp.StreamReader) -> None:
        self._content = content
        while not self._listener.over:
            read = await content.readany()
            if not read:
                break
            self._hear(read)
            await self._say()
            if self._answer.spoken and not self._listener.over:
                self._idle_beats = 0
                await self._around.beat.carry(self)
        self._listener.close()

    async def beat(self) -> bool:
        """Read and publish what has come since the last beat; False: wait for more elsewhere."""
        content = self._content
        if content is None or content.exception() is not None:
            return False
        read = content.read_nowait()
        if not read:
            self._idle_beats += 1
            return self._idle_beats < IDLE_BEATS and not content.at_eof()
        self._idle_beats = 0
        self._hear(read)
        await self._say()
        return not self._listener.over

    def _hear(self, read: bytes) -> None:
        now = self._times.heard = self._now()
        if self._listener.feed(read):
            self._times.progressed = now
            if self._first_token is None and self._answer.spoken:
                self._first_token = now
            if self._times.finished is None and self._answer.finish_reason:
                self._times.finished = now

    # --- Saying -----------------------------------------------------------------------------

    async def _say(self) -> None:
        """Publish what is new, unless the broker is away: then it stays together until later."""
        if not self._around.connected():
            self._was_away = True
            return
        if self._was_away:
            await self.say_again()
        for kind, offset, text in self._answer.unsent():
            await self._publish(kind, offset, text)

    async def _publish(self, kind: ChunkKind, offset: int, text: str) -> None:
        self._spoke = self._now()
        request = self.request
        chunk = StreamChunk(
            turn=request.turn, attempt=request.attempt, kind=kind, offset=offset, text=text
        )
        await self._around.publish(self._subject, _encode(chunk))

    # --- The end ----------------------------------------------------------------------------

    def _settle(self, failed: Failed | None = None) -> None:
        """Post the one outcome; whatever comes second is not heard."""
        if self._settled:
            return
        self._settled = True
        finish = self._answer.finish_reason
        if failed is None and not finish:
            failed = self._unfinished()
        if finish == "error":
            failed = failed or Failed(FailureClass.MIDSTREAM, Evidence(type="error"))
        elif finish:
            failed = None  # the answer was whole when it was stopped or cut
        self._around.outbox.post(self._completed() if failed is None else self._error(failed))

    def _unfinished(self) -> Failed:
        """It ended without a finish reason: stopped from here, or cut over there."""
        if self._task is not None and self._task.cancelled():
            return self._stopped
        return Failed(FailureClass.AMBIGUOUS, "it ended without a finish reason", hint="truncated")

    def _completed(self) -> StreamCompleted:
        request, answer = self.request, self._answer
        first = self._first_token
        return StreamCompleted(
            at=datetime.now(UTC),
            workspace=request.workspace,
            discussion=request.discussion,
            turn=request.turn,
            attempt=request.attempt,
            text=answer.text,
            finish_reason=answer.finish_reason,
            model=answer.model or request.model,
            reasoning=answer.reasoning,
            refusal=answer.refusal,
            tool_calls=answer.tool_calls,
            usage=self._usage(),
            request=self._provider_request,
            account=self._account,
            first_token_ms=None if first is None else self._ms_after_sending(first),
            duration_ms=self._ms_after_sending(self._now()),
            notes=notes(request, self._row),
        )

    def _error(self, failed: Failed) -> ProviderError:
        request, answer = self.request, self._answer
        sent = self._sent.it
        class_ = failed.class_
        if not sent and class_ is FailureClass.AMBIGUOUS:
            class_ = FailureClass.TRANSIENT
        elif answer.spoken and class_ not in _PERMANENT:
            class_ = FailureClass.MIDSTREAM
        usage = self._usage() if answer.usage or answer.spoken else Usage()
        return ProviderError(
            at=datetime.now(UTC),
            workspace=request.workspace,
            discussion=request.discussion,
            turn=request.turn,
            attempt=request.attempt,
            class_=class_,
            evidence=self._signed(failed.evidence),
            sent=sent,
            text=answer.text,
            reasoning=answer.reasoning,
            usage=usage,
            model=answer.model or request.model,
            duration_ms=self._ms_after_sending(self._now()),
            hint=failed.hint,
        )

    def _broken(self, error: Exception) -> Failed:
        what = f"{type(error).__name__}: {error}"
        if why := not_allowed(error):
            return Failed(FailureClass.REQUEST, classify.clean(why), hint=HINT)
        if not self._sent.it:
            return Failed(FailureClass.TRANSIENT, classify.clean(what), hint="connect")
        return Failed(FailureClass.AMBIGUOUS, classify.clean(what), hint="truncated")

    def _misheard(self, error: Exception) -> Failed:
        """What came with a 200 and was no answer."""
        now = datetime.now(UTC)
        match error:
            case Interrupted(told=told):
                verdict = classify.verdict(
                    told, status=200, headers={}, body=b"", row=self._row, now=now
                )
            case Foreign(body=body):
                verdict = classify.verdict(
                    None, status=200, headers={}, body=body, row=self._row, now=now
                )
            case TooLarge():
                return Failed(FailureClass.REQUEST, "the answer is too large", hint="too_large")
            case _:
                why = f"a frame cannot be read: {classify.clean(str(error))}"
                return Failed(FailureClass.UNKNOWN, why, hint="unreadable")
        return Failed(verdict.class_, verdict.evidence, hint=verdict.hint)

    def _signed(self, evidence: Evidence) -> Evidence:
        """With the provider's own id of the request."""
        request = evidence.request or self._provider_request
        account = evidence.account or self._account
        return msgspec.structs.replace(evidence, request=request, account=account)

    def _usage(self) -> Usage:
        """As the provider counted; what it had not counted yet when it was cut, as we do."""
        counted = self._answer.usage
        if counted is None:
            return self._estimate()
        if counted.status is UsageStatus.MEASURED:
            return counted
        return msgspec.structs.replace(
            self._estimate(), input_tokens=counted.input_tokens, cached_tokens=counted.cached_tokens
        )

    def _estimate(self) -> Usage:
        """Three bytes a token: there is no tokenizer here, and too many is safer than too few."""
        answer = self._answer
        said = (
            answer.new
            + answer.reasoning
            + "".join(
                call["function"]["name"] + call["function"]["arguments"]
                for call in answer.tool_calls
            )
        )
        return Usage(
            input_tokens=-(-len(_encode(self.request.messages)) // 3),
            output_tokens=-(-len(said.encode()) // 3),
            status=UsageStatus.ESTIMATED,
        )

    def _ms_after_sending(self, moment: float) -> int:
        return round((moment - (self._times.sent or self._began)) * 1000)
