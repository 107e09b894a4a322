"""How do we talk to a service? (The only file that imports openai.)

A request goes in; pieces of text, usage and cost come out; openai's errors, and
those of the HTTP library below it, become ours. openai 2 stands on httpx and
openai 3 on httpx2; a broken stream is an openai error in 3 and a raw one in 2.
"""

from __future__ import annotations

import base64
import importlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from datetime import datetime
from decimal import Decimal
from functools import cached_property
from typing import Any, cast

from cborg_magics import errors
from cborg_magics.catalogue import Model
from cborg_magics.exchange import (
    Account,
    Document,
    Message,
    Picture,
    Reasoning,
    Request,
    ServiceLog,
    Text,
    Usage,
    dollars,
)
from cborg_magics.providers import refusals, vectors
from cborg_magics.providers.provider import Headers, Service
from cborg_magics.providers.vectors import Embedded, Gate

CONNECT_SECONDS = 10.0  # off the VPN, packets vanish: without this, silence for ten minutes
QUICK_SECONDS = 20.0  # for the service's own routes
ACCOUNT_HEADERS = ("OpenAI-Organization", "OpenAI-Project")

Piece = Text | Reasoning


class Client:
    """A connection to one service. Nothing is imported or opened before the first call."""

    def __init__(
        self,
        service: Service,
        log: Callable[[str], None] | None = None,
        unusable: errors.CborgError | None = None,
    ) -> None:
        """`unusable` is raised in the place of anything that would be sent."""
        self.service = service
        self._unusable = unusable
        self.answered = False  # has the host ever answered, with whatever status?
        self.packs: dict[str, bool] = {}  # which models' vectors come in base64, as far as known
        self._log = log

    def answer(self, request: Request) -> Answer:
        """The answer to `request`, not asked for yet: `open()` asks, and may be tried again."""
        return Answer(self, request)

    def embed(
        self, model: str, texts: str | Sequence[str], timeout: float, gate: Gate | None = None
    ) -> Embedded:
        """The vectors of `texts`; `timeout` in seconds. Raises the errors of `errors.py`."""
        return vectors.embed(self, model, texts, timeout, gate or nullcontext())

    def models(self) -> list[Model]:
        """What can be asked for. Raises the errors of `errors.py`."""
        with self.translated(""):
            return self.service.provider.read_models(self.get)

    def account(self) -> Account:
        """What the service says of this key; parts that it refuses to tell are left out."""
        return self.service.provider.read_account(self.get)

    def log_since(self, since: datetime) -> ServiceLog:
        """What the service has booked since then. Raises the errors of `errors.py`."""
        with self.translated(""):
            return self.service.provider.read_log(self.get, since)

    def get(self, path: str) -> Any:
        """GET one of the service's own routes, as parsed JSON. Raises the errors of `errors.py`."""
        with self.translated(""):
            quick = self.sdk.with_options(timeout=QUICK_SECONDS)
            return quick.get(self.service.root + path, cast_to=object)

    def post(self, path: str, body: Mapping[str, Any], timeout: float) -> Any:
        """POST to one of OpenAI's routes: the HTTP library's answer, as it came. Goes inside
        `translated`; `timeout` in seconds."""
        answer = self.sdk.post(
            path,
            body=body,
            cast_to=_http_library().Response,
            options={"timeout": self.patience(timeout)},
        )
        self.answered = True
        return answer

    def count_tokens(self, request: Request) -> int | None:
        """How many tokens the service counts in the messages; None where it cannot say."""
        route = self.service.provider.token_counter
        if not route:
            return None
        body = {"model": request.model, "messages": [_message(m) for m in request.messages]}
        try:
            with self.translated(""):
                quick = self.sdk.with_options(timeout=QUICK_SECONDS)
                counted = quick.post(self.service.root + route, body=body, cast_to=object)
                return int(counted["total_tokens"]) or None
        except errors.CborgError:
            return None  # old proxies have no such route

    @staticmethod
    def patience(seconds: float) -> Any:
        """How long to wait for an answer; who does not even take the call is left sooner."""
        import openai

        return openai.Timeout(seconds, connect=min(CONNECT_SECONDS, seconds))

    def log(self, mark: str, what: object) -> None:
        """Note what goes over the wire, where that is wanted; else it costs nothing."""
        if self._log:
            self._log(f"{mark} {what}")

    def close(self) -> None:
        """Close the connections, if any were opened."""
        if "sdk" in self.__dict__:
            self.sdk.close()
            del self.sdk

    @cached_property
    def sdk(self) -> Any:
        """The SDK's client: no retries of its own (they would be silent)."""
        if self._unusable:
            raise errors.bare(self._unusable)
        import openai

        service = self.service
        transport = None
        if service.socket:
            http = _http_library()
            transport = openai.DefaultHttpxClient(
                transport=http.HTTPTransport(uds=str(service.socket))
            )
        return openai.OpenAI(
            base_url=service.base_url,
            api_key=service.key.reveal() if service.key else "none",
            max_retries=0,
            http_client=transport,
            # The SDK would send another service's account to this one.
            default_headers=dict.fromkeys(ACCOUNT_HEADERS, cast(str, openai.omit)),
        )

    @contextmanager
    def translated(self, model: str, begun: Callable[[], bool] = lambda: False) -> Iterator[None]:
        """Errors of the SDK and of HTTP become ours; `begun` tells if an answer had started."""
        import openai

        http = _http_library()
        try:
            yield
        except openai.APIStatusError as error:
            self.answered = True
            answer = refusals.Answer(error.status_code, error.response.headers, error.body)
            raise refusals.refusal(self.service, model, answer) from None
        except (openai.APIConnectionError, http.HTTPError, http.StreamError) as error:
            raise self._network_error(error, begun()) from None
        except errors.CborgError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever was sent, the reader gets a line
            # an error event inside a stream, JSON that is none, or nonsense that the SDK let pass
            raise self._bad_answer(error, model, begun()) from None

    def _network_error(self, error: Exception, begun: bool) -> errors.CborgError:
        host, causes = self.service.host, list(_causes(error))
        why = _reason(causes[-1])
        if begun:
            return errors.StreamBroken(f"the answer broke off: {host} {why}", _KEPT)
        if any(type(cause).__name__ in ("ReadTimeout", "WriteTimeout") for cause in causes):
            return errors.TimedOut(
                f"{host} did not answer in time",
                "Ask for less, or allow more seconds with --timeout or CBORG_TIMEOUT.",
            )
        return errors.Unreachable(
            f"cannot reach {host}: {why}", self.service.provider.unreachable_hint
        )

    def _bad_answer(self, error: Exception, model: str, begun: bool) -> errors.CborgError:
        self.log("!", repr(error))
        body = getattr(error, "body", None)
        said = refusals.Answer(_status_in(body), {}, body)
        if begun:
            words = said.message or _reason(error)
            return errors.StreamBroken(f"the answer broke off: {words}", _KEPT)
        if body is not None:
            return refusals.refusal(self.service, model, said)
        return errors.NotTheApi(
            f"{self.service.host} did not answer as an API does: {_reason(error)}",
            self.service.provider.blocked_hint,
        )


_KEPT = "What had come is kept above; run the cell again for a whole answer."


class Answer:
    """One answer as it comes: `open()`, iterate over its pieces, `close()`.

    `usage`, `billed` (US dollars), `served` and `finish_reason` are known at the
    end, `call_id` from the moment the service's headers are here, `answer_id` with the first chunk.
    `tools`: it speaks of tools, or of what they found.
    """

    def __init__(self, client: Client, request: Request) -> None:
        self.request = request
        self.usage: Usage | None = None
        self.billed: Decimal | None = None
        self.served: str | None = None
        self.finish_reason: str | None = None
        self.call_id: str | None = None
        self.answer_id: str | None = None
        self.fallback: str | None = None
        self.tools = False
        self.pieces = 0
        self._client = client
        self._stream: Any = None
        self._rest: Iterator[Piece] = iter(())
        self._first: Piece | None = None

    def open(self) -> None:
        """Ask, and wait until the first piece of the answer is here."""
        self.close()
        client, request = self._client, self.request
        client.log(">", request)
        with client.translated(request.model):
            raw = client.sdk.chat.completions.with_raw_response.create(**_body(request, client))
            client.answered = True
            self._read_headers(raw.headers)
            if request.stream:
                self._stream = raw.parse()
                self._rest = self._streamed(self._stream)
            else:
                self._rest = self._whole(raw.parse(), raw.headers)
            self._first = next(self._rest, None)
        if self._first is None and self.finish_reason is None:
            raise errors.Unavailable(f"{client.service.host} closed the line without an answer")

    def __iter__(self) -> Iterator[Piece]:
        with self._client.translated(self.request.model, begun=lambda: True):
            if self._first is not None:
                yield self._first
            yield from self._rest
        if self.finish_reason is None and self.usage is None:
            raise errors.StreamBroken(
                f"the answer broke off: {self._client.service.host} closed the line", _KEPT
            )

    def close(self) -> None:
        """Close the connection, so that a model still writing is stopped."""
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    def _read_headers(self, headers: Headers) -> None:
        provider = self._client.service.provider
        self.call_id, self.served = provider.call_id(headers), provider.served(headers)
        self.fallback = provider.fallback(headers)
        kind = headers.get("content-type", "")
        service = self._client.service
        if "html" in kind:
            page = refusals.Answer(200, {"content-type": kind}, None)
            raise refusals.refusal(service, self.request.model, page)
        if self.request.stream and "event-stream" not in kind:
            raise errors.NotTheApi(
                f"{service.host} does not stream its answers", "Try --no-stream."
            )

    def _streamed(self, stream: Any) -> Iterator[Piece]:
        for chunk in stream:
            self._client.log("<", chunk)
            self._note(chunk)
            # The cost headers of a stream are traps: they say 0.0 of a call that is priced.
            self.billed = dollars(getattr(chunk.usage, "cost", None)) or self.billed
            for choice in chunk.choices or ():
                self.finish_reason = choice.finish_reason or self.finish_reason
                yield from self._pieces_of(choice.delta)

    def _whole(self, completion: Any, headers: Headers) -> Iterator[Piece]:
        self._client.log("<", completion)
        self._note(completion)
        self.billed = self._client.service.provider.billed(headers)
        if self.billed is None:
            self.billed = dollars(getattr(completion.usage, "cost", None))
        for choice in (completion.choices or ())[:1]:
            self.finish_reason = choice.finish_reason or "stop"
            yield from self._pieces_of(choice.message)

    def _pieces_of(self, message: Any) -> Iterator[Piece]:
        # Asking the SDK's message for an attribute that it lacks is slow, and this is every token.
        said = {**message.__dict__, **(message.model_extra or {})}
        self.tools |= bool(said.get("tool_calls") or said.get("annotations"))
        reasoning = said.get("reasoning_content") or said.get("reasoning")
        if isinstance(reasoning, str) and reasoning:
            self.pieces += 1
            yield Reasoning(reasoning)
        if content := said.get("content"):
            self.pieces += 1
            yield Text(_text(content))

    def _note(self, chunk: Any) -> None:
        """The model's name, the answer's and the usage, wherever the service puts them."""
        self.answer_id = self.answer_id or getattr(chunk, "id", None) or None
        if self.served is None and chunk.model and chunk.model != self.request.model:
            self.served = chunk.model
        if chunk.usage is not None:
            self.usage = _usage(chunk.usage)


def _body(request: Request, client: Client) -> dict[str, Any]:
    body: dict[str, Any] = {
        "model": request.model,
        "messages": [_message(message) for message in request.messages],
        "stream": request.stream,
        "timeout": client.patience(request.timeout),
    }
    if request.stream:
        body["stream_options"] = {"include_usage": True}
    optional = {
        "temperature": request.temperature,
        "max_tokens": request.max_tokens,
        "reasoning_effort": request.reasoning_effort,
        "response_format": request.format,
        "prompt_cache_key": request.cache_key,
    }
    return body | {name: value for name, value in optional.items() if value is not None}


def _message(message: Message) -> dict[str, Any]:
    """A message on the wire: plain text where that says it all, which every server reads."""
    documents = [_document(d) for d in message.attachments if isinstance(d, Document)]
    pictures = [p for p in message.attachments if isinstance(p, Picture)]
    if not pictures and not message.cached:
        return {"role": message.role, "content": "\n\n".join([*documents, message.content])}
    parts: list[dict[str, Any]] = [{"type": "text", "text": text} for text in documents]
    for picture in pictures:
        parts.append({"type": "text", "text": f"{picture.name}:"})
        parts.append({"type": "image_url", "image_url": {"url": _address(picture)}})
    parts.append({"type": "text", "text": message.content})
    if message.cached:
        parts[-1]["cache_control"] = {"type": "ephemeral"}
    return {"role": message.role, "content": parts}


def _address(picture: Picture) -> str:
    if picture.url:
        return picture.url
    return f"data:{picture.type};base64,{base64.b64encode(picture.data).decode()}"


def _document(document: Document) -> str:
    """Text with its name, in a fence that nothing inside can close."""
    longest = max((len(run) for run in re.findall(r"`{3,}", document.text)), default=2)
    fence = "`" * (longest + 1)
    note = f" ({document.note})" if document.note else ""
    return f"{document.name}{note}:\n{fence}{document.language}\n{document.text}\n{fence}"


def _text(content: object) -> str:
    if not isinstance(content, str):
        raise TypeError(f"the content is {type(content).__name__}, not text")
    return content


def _usage(usage: Any) -> Usage:
    prompt = getattr(usage, "prompt_tokens_details", None)
    completion = getattr(usage, "completion_tokens_details", None)
    written = getattr(usage, "cache_creation_input_tokens", None)
    said = (getattr(prompt, f"cache_{word}_tokens", None) for word in ("creation", "write"))
    left_out = written or 0 if all(each is None for each in said) else 0  # by LiteLLM 1.74
    return Usage(
        prompt=int(usage.prompt_tokens or 0) + left_out,
        completion=int(usage.completion_tokens or 0),
        cached=getattr(prompt, "cached_tokens", None),
        reasoning=getattr(completion, "reasoning_tokens", None),
        written=written,
    )


def _http_library() -> Any:
    """httpx or httpx2: the one that openai's client is built on."""
    import openai

    roots = (base.__module__.split(".")[0] for base in openai.DefaultHttpxClient.__mro__)
    return importlib.import_module(next(root for root in roots if root.startswith("httpx")))


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__


def _reason(error: BaseException) -> str:
    """The system's own words, on one line: `Name or service not known`."""
    words = " ".join(str(getattr(error, "strerror", None) or error).split())
    return words.partition("] ")[2] or words or type(error).__name__


def _status_in(body: object) -> int:
    code = str(body.get("code") if isinstance(body, Mapping) else "")
    return int(code) if code.isdecimal() and len(code) == 3 else 500
