"""What of a conversation and of passages fits in the model's window?"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import replace
from itertools import accumulate

from cborg_magics import tokens
from cborg_magics.conversation import Turn
from cborg_magics.exchange import Message, Passage, Picture

MOST_PICTURE_BYTES = 20 * 1024 * 1024  # pictures of earlier turns, sent again
LEAST_PASSAGE = 64  # tokens of a passage with its name; where there is less room, fewer go along


def most_of_passages(window: int) -> int:
    """How many tokens of passages go along with a question: half of what the model takes."""
    return window // 2


def passages(found: tuple[Passage, ...], window: int, room: int) -> tuple[Passage, ...]:
    """What of the passages goes along where there is `room`: the first ones, the long ones cut."""
    room = min(most_of_passages(window), room)
    return _cut(found[: max(room // LEAST_PASSAGE, 1)], room)


def _cut(found: tuple[Passage, ...], room: int) -> tuple[Passage, ...]:
    """The passages in `room` tokens. Short ones leave to the long ones what they do not need."""
    cut: dict[int, Passage] = {}
    room -= sum(tokens.of_text(each.name) for each in found)
    for number in sorted(range(len(found)), key=lambda n: len(found[n].text)):
        share = max(room // (len(found) - len(cut)), LEAST_PASSAGE // 2)
        cut[number], used = _beginning(found[number], share)
        room -= used
    return tuple(cut[number] for number in range(len(found)))


def _beginning(passage: Passage, most: int) -> tuple[Passage, int]:
    """As much of it as fits in `most` tokens, and how many these are."""
    sizes = list(accumulate(_at_most(passage.text[: 4 * most + 1])))
    length = bisect_right(sizes, 4 * most)
    used = -(-sizes[length - 1] // 4) if length else 0
    if length == len(passage.text):
        return passage, used
    note = f"first {length:,} of {len(passage.text):,} characters"
    return replace(passage, text=passage.text[:length], note=note), used


def _at_most(text: str) -> Iterator[int]:
    """What each character comes to, in quarters of a token. Letters of English words come to one;
    of figures, signs and other scripts small models make a token for each byte."""
    for each in text:
        plain = each.isascii() and (each.isalpha() or each == " ")
        yield 1 if plain else 4 * len(each.encode(errors="replace"))


def turns(history: tuple[Turn, ...], room: int) -> tuple[Turn, ...]:
    """The newest turns whose text fits in `room` tokens."""
    kept: list[Turn] = []
    for turn in reversed(history):
        spoken = turn.messages
        room -= tokens.of_messages(spoken) - sum(map(tokens.of_pictures, spoken))
        if room < 0:
            break
        kept.insert(0, turn)
    return tuple(kept)


def messages(history: tuple[Turn, ...], room: int) -> tuple[list[Message], int]:
    """The messages of the turns, and how many pictures they have lost: the newest fit first."""
    room -= sum(
        tokens.of_messages(turn.messages) - tokens.of_pictures(turn.question) for turn in history
    )
    most_bytes, unsent = MOST_PICTURE_BYTES, 0
    said: list[Message] = []
    for turn in reversed(history):
        question, answer = turn.messages
        pictures = question.pictures
        room -= tokens.of_pictures(question)
        most_bytes -= sum(len(picture.data) for picture in pictures)
        if pictures and (room < 0 or most_bytes < 0):
            room, most_bytes = min(room, 0), min(most_bytes, 0)  # older ones do not pass it by
            question, unsent = _without_pictures(question), unsent + len(pictures)
        said[:0] = [question, answer]
    return said, unsent


def _without_pictures(message: Message) -> Message:
    names = ", ".join(picture.name for picture in message.pictures)
    return replace(
        message,
        content=f"{message.content}\n\n[not shown again: {names}]",
        attachments=tuple(each for each in message.attachments if not isinstance(each, Picture)),
    )
