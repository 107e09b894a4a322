"""What is sent for a question? The model, the turns that fit, the form of the answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

from cborg_magics import policy, tokens
from cborg_magics.catalogue import Catalogue, Model
from cborg_magics.conversation import MAIN, Run, Turn
from cborg_magics.errors import BadAttachment
from cborg_magics.exchange import Attachment, Message, Picture, Request
from cborg_magics.settings import Settings

if TYPE_CHECKING:
    from cborg_magics.providers.provider import Provider
    from cborg_magics.schemas import Shape

_T = TypeVar("_T")

MARGIN = 0.9  # of the model's window: our count of tokens is a guess
ANSWER_TOKENS = 4096  # kept free for the answer where no limit was asked for
MOST_PICTURE_BYTES = 20 * 1024 * 1024  # pictures of earlier turns, sent again
SMALL = 2000  # tokens that fit any model; nothing waits for the catalogue
CATALOGUE_SECONDS = 5.0


@dataclass(frozen=True)
class Question:
    """All that a person can wish of one call. None means: as the settings or the service say.

    `thread` and `run` say where in the conversation it stands; `once` neither reads
    nor writes it, `new` begins the thread anew. `shape` is what the answer must be;
    `cache_prompt` asks the service to keep the system text for the next call; `yes` sets
    aside the caps that are not locked. Times in seconds.
    """

    text: str
    attachments: tuple[Attachment, ...] = ()
    model: str | None = None
    system: str | None = None
    temperature: float | None = None
    max_tokens: int | None = None
    timeout: float | None = None
    stream: bool = True
    reasoning_effort: str | None = None
    thread: str = MAIN
    run: Run | None = None
    once: bool = False
    new: bool = False
    shape: Shape | None = None
    cache_prompt: bool = False
    yes: bool = False

    @property
    def message(self) -> Message:
        return Message("user", self.text, self.attachments)


@dataclass(frozen=True)
class Plan:
    """A question made ready. `history` is what goes along of the thread, oldest first;
    `left_out` turns and `unsent` pictures of earlier turns do not."""

    question: Question
    request: Request
    model: Model | None  # what the catalogue knows of it
    window: int  # tokens that the model takes
    history: tuple[Turn, ...] = ()
    left_out: int = 0
    unsent: int = 0

    @property
    def thread(self) -> str | None:
        """The thread that the answer will join; None if it stands alone."""
        return None if self.question.once else self.question.thread

    @property
    def notes(self) -> list[str]:
        """What of the conversation the model does not see, one line each."""
        thread = self.question.thread
        turns = "the oldest turn" if self.left_out == 1 else f"the {self.left_out} oldest turns"
        of_turns = f"Not sent: {turns} of {thread}, beyond the model's {self.window:,} tokens."
        pictures = "a picture" if self.unsent == 1 else f"{self.unsent} pictures"
        of_pictures = f"Not sent again: {pictures} of earlier turns."
        return [of_turns] * bool(self.left_out) + [of_pictures] * bool(self.unsent)


def plan(
    question: Question,
    history: tuple[Turn, ...],
    settings: Settings,
    provider: Provider,
    default_model: Callable[[], str],
    catalogue: Callable[[float], Catalogue | None],
) -> Plan:
    """Decide what is sent. `catalogue` is given the seconds that it may wait.

    Raises `BadAttachment` for pictures that the model cannot see, and `NotAllowed`.
    """
    seeing = _pictures(question.message) or any(_pictures(turn.question) for turn in history)
    vision = settings.vision_model or provider.vision_model
    name = question.model or (vision if seeing and vision else default_model())
    said = [message for turn in history for message in _spoken(turn)]
    matters = seeing or question.shape or settings.on_prem_only or question.reasoning_effort
    size = tokens.of_messages([*said, question.message])
    known = catalogue(CATALOGUE_SECONDS if matters or size > SMALL else 0.0)
    model = provider.model_in(known, name)
    _check(question, name, model, settings, provider, known)

    system = _system(question, model, settings, provider)
    window = (model and model.max_input_tokens) or settings.context_tokens
    limit = _first(question.max_tokens, settings.max_tokens, provider.longest_answer(model))
    reserve = limit or min(ANSWER_TOKENS, window // 4)
    room = int(window * MARGIN) - reserve - tokens.of_messages([*system, question.message])
    kept = _that_fit(history, room)
    blind = model is not None and model.vision is False
    old, unsent = _with_pictures(kept, 0 if blind else room)
    request = Request(
        model=name,
        messages=(*system, *old, question.message),
        stream=question.stream,
        temperature=_first(question.temperature, settings.temperature, provider.temperature),
        max_tokens=limit,
        reasoning_effort=question.reasoning_effort,
        format=question.shape.response_format() if question.shape and _obeys(model) else None,
        timeout=question.timeout or settings.timeout,
    )
    provider.check(request, model)
    return Plan(question, request, model, window, kept, len(history) - len(kept), unsent)


def _check(
    question: Question,
    name: str,
    model: Model | None,
    settings: Settings,
    provider: Provider,
    catalogue: Catalogue | None,
) -> None:
    """Refuse what can be known to be wrong before anything is sent."""
    policy.check(name, provider.location(model), settings)
    if _pictures(question.message) and model and model.vision is False:
        able = [each.name for each in catalogue.models if each.vision] if catalogue else []
        names = list(dict.fromkeys(able))[:3]
        hint = f"Take one that can: -m {' or -m '.join(names)}." if names else ""
        if provider.here:
            hint = "Set a key, and a model that can will answer."
        raise BadAttachment(f"{name} cannot see pictures.", hint)


def _system(
    question: Question, model: Model | None, settings: Settings, provider: Provider
) -> list[Message]:
    """What the model is told first: the person's words, and the form that is wanted."""
    words = _first(question.system, settings.system, provider.system)
    told = [words] if words else []
    # A service that is asked for `json_object` refuses unless the messages speak of JSON.
    if question.shape and not (question.shape.held and _obeys(model)):
        told.append(question.shape.instruction())
    names = f"{model.underlying} {model.name}" if model else question.model or ""
    # Others than Anthropic keep what they can by themselves, and may refuse the mark.
    marked = question.cache_prompt and any(word in names for word in ("claude", "anthropic"))
    return [Message("system", "\n\n".join(told), cached=marked)] if told else []


def _obeys(model: Model | None) -> bool:
    """Can the model be held to a schema? Only where its service says so."""
    return bool(model and model.schemas)


def _that_fit(history: tuple[Turn, ...], room: int) -> tuple[Turn, ...]:
    """The newest turns whose text fits in `room` tokens."""
    kept: list[Turn] = []
    for turn in reversed(history):
        spoken = _spoken(turn)
        room -= tokens.of_messages(spoken) - sum(map(tokens.of_pictures, spoken))
        if room < 0:
            break
        kept.insert(0, turn)
    return tuple(kept)


def _with_pictures(history: tuple[Turn, ...], room: int) -> tuple[list[Message], int]:
    """The messages of the turns, and how many pictures they have lost: the newest fit first."""
    room -= sum(
        tokens.of_messages(_spoken(turn)) - tokens.of_pictures(turn.question) for turn in history
    )
    most_bytes, unsent = MOST_PICTURE_BYTES, 0
    messages: list[Message] = []
    for turn in reversed(history):
        question, answer = _spoken(turn)
        pictures = _pictures(question)
        room -= tokens.of_pictures(question)
        most_bytes -= sum(len(picture.data) for picture in pictures)
        if pictures and (room < 0 or most_bytes < 0):
            room, most_bytes = min(room, 0), min(most_bytes, 0)  # older ones do not pass it by
            question, unsent = _without_pictures(question), unsent + len(pictures)
        messages[:0] = [question, answer]
    return messages, unsent


def _spoken(turn: Turn) -> tuple[Message, Message]:
    return turn.question, Message("assistant", turn.reply.text)


def _pictures(message: Message) -> list[Picture]:
    return [each for each in message.attachments if isinstance(each, Picture)]


def _without_pictures(message: Message) -> Message:
    names = ", ".join(picture.name for picture in _pictures(message))
    return replace(
        message,
        content=f"{message.content}\n\n[not shown again: {names}]",
        attachments=tuple(each for each in message.attachments if not isinstance(each, Picture)),
    )


def _first(*values: _T | None) -> _T | None:
    return next((value for value in values if value is not None), None)
