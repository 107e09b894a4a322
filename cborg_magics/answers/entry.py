"""When is a question the same as an earlier one? And which answers are worth keeping?

The same are: service, model, system text, parameters, the form that is wanted, and every message
of its thread with what was attached, to the byte. Not counted is what changes no answer: the names
of threads and cells, streaming, time limits, caps.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from cborg_magics import errors
from cborg_magics.answers.folder import VERSION, AnswerFolder, KeptAnswer, Sent
from cborg_magics.conversation import Turn
from cborg_magics.exchange import Attachment, Listener, Message, Picture, Reply
from cborg_magics.planning import Question, Wishes
from cborg_magics.providers.provider import Service


@dataclass(frozen=True)
class Entry:
    """A question's place among the answers that are kept."""

    folder: AnswerFolder
    digest: str
    limit: int | None  # tokens that the answer may have, by the person's wish
    refresh: bool  # is the answer to be asked for anew?

    @classmethod
    def of(
        cls,
        folder: AnswerFolder,
        service: Service,
        question: Question,
        history: Sequence[Turn],
        wishes: Wishes,
    ) -> Entry:
        """The place of `question`, asked after `history`, with `wishes` as the settings have
        completed them."""
        whole = [
            *(VERSION, service.name, wishes.model, wishes.system, wishes.temperature),
            *(wishes.max_tokens, question.reasoning_effort),
            question.shape.instruction() if question.shape else None,
            *([_plain(turn.question), turn.reply.text] for turn in history),
            _plain(question.message),
        ]
        digest = hashlib.sha256(json.dumps(whole).encode()).hexdigest()
        return cls(folder, digest, wishes.max_tokens, question.refresh)

    def find(self) -> KeptAnswer | None:
        """The answer, if it is kept and may be taken."""
        return None if self.refresh else self.folder.find(self.digest)

    def answer(self, question: Question, tell: Listener) -> tuple[Question, Reply] | None:
        """The answer that is kept, heard like any other, and the question as it was sent."""
        kept, shape = self.find(), question.shape
        if kept is None:
            return None
        try:
            value = shape.parse(kept.text) if shape else None
        except errors.BadAnswer:
            return None  # a type can check more than its schema tells, and has changed
        question = replace(question, passages=kept.cut(question.passages))
        reply = replace(kept.reply(), value=value, passages=question.passages)
        for piece in reply.pieces:
            tell(piece)
        return question, reply

    def keep(self, reply: Reply, service: Service, keys: Sequence[str]) -> str:
        """Write the reply down, if it is worth it; else gives a line that says why not."""
        if why := self._unfit(reply, keys):
            return f"This answer is not kept: {why}."
        kept = KeptAnswer(
            version=VERSION,
            at=reply.started,
            provider=reply.provider,
            address="" if service.provider.here else service.root,
            host=reply.host,
            location=reply.location,
            model=reply.model,
            served=reply.served,
            text=reply.text,
            reasoning=reply.reasoning,
            finish_reason=reply.finish_reason,
            usage=reply.usage,
            cost=reply.cost,
            passages=tuple(Sent(len(each.text), each.note) for each in reply.passages),
        )
        try:
            self.folder.keep(self.digest, kept)
        except (OSError, ValueError) as problem:  # half a character cannot be written down
            why = getattr(problem, "strerror", None) or "it cannot be written as text"
            return f"This answer is not kept: {why}."
        return ""

    def _unfit(self, reply: Reply, keys: Sequence[str]) -> str:
        """Why the model, asked again, may have more or other things to say."""
        said = reply.text + reply.reasoning
        own_limit = self.limit is not None and reply.capped is None
        if errors.without(said, *keys) != said or errors.has_key(said):
            return "a key is in it"
        if reply.fallback is not None:
            return "it is of another model than the one that was asked"
        if reply.tools or reply.finish_reason == "tool_calls":
            return "tools took part in it"
        if reply.finish_reason not in ("stop", *(["length"] if own_limit else [])):
            cut = "it was cut short"
            return cut if reply.finish_reason else "the service did not say that it is whole"
        return "" if reply.text.strip() else "it is empty"


def _plain(message: Message) -> list[Any]:
    """A message with all that the model sees of it."""
    return [message.role, message.content, *map(_attached, message.attachments)]


def _attached(each: Attachment) -> list[str]:
    if isinstance(each, Picture):
        return [each.name, each.type, each.url or hashlib.sha256(each.data).hexdigest()]
    return [each.name, each.language, each.note, each.text]
