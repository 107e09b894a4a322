"""What was answered once is not paid for again; and only what is the same is answered so."""

from __future__ import annotations

import os
import stat
import threading
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pydantic
import pytest

from cborg_magics import Session
from cborg_magics.conversation import Run
from cborg_magics.errors import BadAnswer, CborgError, NotAllowed, StreamBroken
from cborg_magics.exchange import Document, Joined, Passage, Picture, Reasoning, Source, Text
from cborg_magics.planning import Question
from cborg_magics.policy import Policy
from cborg_magics.schemas import Shape
from cborg_magics.settings import Settings
from tests.conftest import KEY
from tests.services.answers import CUT, HANG, Thought, chat_stream, json_answer, refusal, usage
from tests.services.faults import FaultServer

CHAT = "/chat/completions"


@pytest.fixture
def answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that CBORG_CACHE names."""
    folder = tmp_path / "answers"
    monkeypatch.setenv("CBORG_CACHE", str(folder))
    return folder


@pytest.fixture
def keeping(answers: Path, session: Session) -> Session:
    """A session that keeps answers in that folder."""
    session.adopt(Settings.read(os.environ))
    return session


def asked(service: FaultServer) -> int:
    return len(service.requests_to(CHAT))


def test_an_identical_question_is_answered_from_disk_for_nothing(
    service: FaultServer, keeping: Session
) -> None:
    prices = {"input_cost_per_token": 3e-06, "output_cost_per_token": 1.5e-05}
    row = {"model_name": "test-model", "model_info": prices}
    service.always("/model/info", json_answer({"data": [row]}))
    service.script(CHAT, chat_stream(Thought("hm"), "Par", 0.3, "is", usage=usage(1000, 100)))
    heard: list[object] = []
    first = keeping.chat("Capital?", once=True)
    again = keeping.chat("Capital?", once=True, on_event=heard.append)
    assert asked(service) == 1
    assert heard == [Reasoning("hm"), Text("Paris")]
    assert (again.text, again.usage, again.model) == ("Paris", first.usage, first.model)
    assert (first.from_cache, str(first.cost.dollars)) == (None, "0.0045")
    assert again.from_cache is not None
    assert (again.from_cache.cost, again.from_cache.at) == (first.cost, first.started)
    assert (again.cost.dollars, again.cost.source) == (0, Source.FREE)
    assert len(keeping.ledger.rows()) == 1, "nothing was asked, so nothing is booked"


def test_another_kernel_has_it_too(service: FaultServer, keeping: Session) -> None:
    keeping.chat("hi")
    with Session.from_environment() as other:
        assert other.chat("hi").from_cache
    assert asked(service) == 1


def test_nothing_is_kept_or_taken_unless_that_is_wanted(
    service: FaultServer, session: Session, home: Path
) -> None:
    session.chat("hi", once=True)
    assert not (home / "answers").exists()
    session.chat("hi", once=True, cache=True)
    session.chat("hi", once=True)
    assert asked(service) == 3
    assert session.chat("hi", once=True, cache=True).from_cache


PICTURE = Picture("fig", "image/png", b"one", size=(1, 1))


@pytest.mark.parametrize(
    "wish",
    [
        {"model": "other"},
        {"system": "Be brief."},
        {"temperature": 0.5},
        {"max_tokens": 100},
        {"reasoning_effort": "low"},
        {"shape": Shape.json()},
        {"attachments": (PICTURE,)},
        {"attachments": (replace(PICTURE, data=b"two"),)},
        {"attachments": (Document("df", "a b"),)},
        {"attachments": (Document("df", "a c"),)},
        {"passages": (Passage("1", "a b"),)},
    ],
    ids=str,
)
def test_a_question_that_differs_is_asked(
    service: FaultServer, keeping: Session, wish: dict[str, Any]
) -> None:
    service.always(CHAT, chat_stream("{}"))
    others: list[dict[str, Any]] = [
        {},
        {"attachments": (replace(PICTURE, data=b"three"),)},
        {"attachments": (Document("df", "a d"),)},
        {"temperature": 0.4},
        {"max_tokens": 99},
    ]
    for other in others:
        keeping.chat("hi", once=True, **other)
    assert keeping.chat("hi", once=True, **wish).from_cache is None
    assert keeping.chat("hi", once=True, **wish).from_cache, "but the second time it is the same"
    assert keeping.chat("hi ", once=True, **wish).from_cache is None, "to the letter"
    assert asked(service) == len(others) + 2


@pytest.mark.parametrize(
    "wish",
    [
        {"once": False},
        {"once": False, "thread": "another"},
        {"once": False, "new": True},
        {"stream": False},
        {"timeout": 3.0},
        {"yes": True},
        {"cache_prompt": True},
    ],
    ids=str,
)
def test_what_changes_no_answer_does_not_tell_questions_apart(
    service: FaultServer, keeping: Session, wish: dict[str, Any]
) -> None:
    keeping.chat("hi", once=True)
    assert keeping.chat("hi", **{"once": True, **wish}).from_cache
    assert asked(service) == 1


def test_settings_count_like_options(
    service: FaultServer, keeping: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    keeping.chat("hi", once=True, system="Be brief.", temperature=0.2)
    monkeypatch.setenv("CBORG_SYSTEM", "Be brief.")
    monkeypatch.setenv("CBORG_TEMPERATURE", "0.2")
    keeping.adopt(Settings.read(os.environ))
    assert keeping.chat("hi", once=True).from_cache
    assert keeping.chat("hi", once=True, system="Be long.").from_cache is None


def test_a_thread_goes_on_from_a_kept_answer_as_from_any(
    service: FaultServer, keeping: Session
) -> None:
    service.script(CHAT, chat_stream("first"), chat_stream("second"), chat_stream("third"))
    for text in ("a", "b"):
        keeping.chat(text)
    with Session.from_environment() as fresh:
        replies = [fresh.chat(text) for text in ("a", "b")]
        assert [reply.text for reply in replies] == ["first", "second"]
        assert [reply.joined.turn for reply in replies if reply.joined] == [1, 2]
        assert asked(service) == 2
        assert fresh.chat("c").text == "third"
    said = service.requests_to(CHAT)[-1].body["messages"]
    assert [each["content"] for each in said] == ["a", "first", "b", "second", "c"]


def test_a_cell_that_is_run_again_replaces_its_turn_with_the_kept_answer(
    service: FaultServer, keeping: Session
) -> None:
    service.script(CHAT, chat_stream("first"), chat_stream("second"))
    keeping.chat("a", run=Run("cell 1", "1"))
    keeping.chat("b", run=Run("cell 2", "2"))
    again = keeping.chat("a", run=Run("cell 1", "3"))
    assert again.from_cache
    assert again.joined == Joined("main", 1, replaced=True, dropped=1)
    assert keeping.chat("b", run=Run("cell 2", "4")).text == "second"
    assert [turn.reply.text for turn in keeping.conversation.turns()] == ["first", "second"]
    assert asked(service) == 2


def test_a_question_after_another_history_is_another_one(
    service: FaultServer, keeping: Session
) -> None:
    keeping.chat("a")
    keeping.chat("and?")
    keeping.chat("b", thread="other")
    assert keeping.chat("and?", thread="other").from_cache is None


SEARCHED = {
    "id": "1",
    "object": "chat.completion.chunk",
    "created": 1,
    "model": "test-model",
    "choices": [{"index": 0, "delta": {"annotations": [{"type": "url_citation"}]}}],
}


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (chat_stream("half", finish="length"), "it was cut short"),
        (chat_stream("half", finish="content_filter"), "it was cut short"),
        (chat_stream("I call", finish="tool_calls"), "tools took part in it"),
        (chat_stream("It rains.", SEARCHED), "tools took part in it"),
        (chat_stream("   "), "it is empty"),
        (
            chat_stream("all?", finish=None, usage=usage(10, 1)),
            "the service did not say that it is whole",
        ),
        (chat_stream("half a sign: \ud83d"), "it cannot be written as text"),
        (chat_stream(f"Your key is {KEY}."), "a key is in it"),
        (chat_stream(Thought(f"Their key is {KEY}."), "I tell no keys."), "a key is in it"),
        (chat_stream("A key: sk-abcdefghijklmnopqrstuvwxyz123456"), "a key is in it"),
    ],
)
def test_what_is_not_a_whole_answer_of_the_model_is_not_kept_and_a_line_says_so(
    service: FaultServer, keeping: Session, answers: Path, answer: Any, why: str
) -> None:
    service.script(CHAT, answer)
    keeping.chat("hi", once=True)
    assert keeping.warnings == [f"This answer is not kept: {why}."]
    assert not answers.exists()
    assert keeping.chat("hi", once=True).from_cache is None
    assert keeping.chat("hi", once=True).from_cache, "the whole one is"


@pytest.mark.parametrize(
    "answer", [chat_stream("half", CUT), refusal(400, "bad_request", "no")], ids=["broken", "no"]
)
def test_what_failed_is_not_kept(
    service: FaultServer, keeping: Session, answers: Path, answer: Any
) -> None:
    service.script(CHAT, answer)
    with pytest.raises(CborgError):
        keeping.chat("hi", once=True)
    assert not answers.exists()
    assert keeping.chat("hi", once=True).from_cache is None


def test_an_answer_that_was_stopped_is_not_kept(
    service: FaultServer, keeping: Session, answers: Path
) -> None:
    service.script(CHAT, chat_stream("half", HANG))
    with pytest.raises(KeyboardInterrupt):
        keeping.chat("hi", once=True, on_event=_stop)
    assert not answers.exists()


def _stop(event: object) -> None:
    if isinstance(event, Text):
        raise KeyboardInterrupt


def test_an_answer_as_short_as_was_asked_is_whole(service: FaultServer, keeping: Session) -> None:
    service.always(CHAT, chat_stream("half", finish="length"))
    keeping.chat("hi", once=True, max_tokens=5)
    assert keeping.chat("hi", once=True, max_tokens=5).finish_reason == "length"
    assert asked(service) == 1


def test_an_answer_that_another_model_gave_is_not_kept(
    service: FaultServer, monkeypatch: pytest.MonkeyPatch, answers: Path
) -> None:
    monkeypatch.delenv("LITELLM_API_KEY")
    monkeypatch.setenv("LLMBASE_API_KEY", "llmbase_0123456789abcdef")
    monkeypatch.setenv("LLMBASE_BASE_URL", service.url)
    headers = {"x-llmbase-fallback-applied": "true", "x-llmbase-fallback-reason": "busy"}
    service.always(CHAT, chat_stream("hi", headers=headers))
    with Session.from_environment() as session:
        reply = session.chat("hi", once=True)
        assert reply.fallback is not None
        assert "another model" in session.warnings[-1]
    assert not answers.exists()


def test_no_key_and_no_question_stands_in_the_folder(
    service: FaultServer, keeping: Session, answers: Path
) -> None:
    keeping.chat("What is the airspeed of a swallow?", system="Answer in Latin.")
    (file,) = answers.iterdir()
    text = file.read_text(encoding="utf-8")
    for word in (KEY, "swallow", "Latin"):
        assert word not in text


def test_a_key_of_ones_own_is_known_whatever_it_looks_like(
    service: FaultServer, keeping: Session, answers: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LITELLM_API_KEY", "swordfish")
    keeping.adopt(Settings.read(os.environ))
    service.script(CHAT, chat_stream("The word is swordfish."))
    keeping.chat("hi", once=True)
    assert keeping.warnings == ["This answer is not kept: a key is in it."]
    assert not answers.exists()


def test_own_answers_are_readable_by_their_owner_alone(
    service: FaultServer, session: Session, home: Path
) -> None:
    session.chat("hi", cache=True)
    (file,) = (home / "answers").iterdir()
    assert [stat.S_IMODE(path.stat().st_mode) for path in (file.parent, file)] == [0o700, 0o600]


def test_an_answer_can_be_asked_for_anew_and_takes_the_old_ones_place(
    service: FaultServer, keeping: Session
) -> None:
    service.script(CHAT, *(chat_stream(text) for text in ("old", "passing", "new")))
    keeping.chat("hi", once=True)
    assert keeping.chat("hi", once=True, cache=False).text == "passing"
    assert keeping.chat("hi", once=True).text == "old"
    assert keeping.chat("hi", once=True, refresh=True).text == "new"
    assert keeping.chat("hi", once=True).text == "new"
    assert asked(service) == 3


class Planet(pydantic.BaseModel):
    name: str


class Small(Planet):
    @pydantic.field_validator("name")
    @classmethod
    def small(cls, name: str) -> str:
        if name == "Jupiter":
            raise ValueError("too large")
        return name


Small.__name__ = Small.__qualname__ = "Planet"  # the same schema, a stricter check


def test_a_kept_answer_is_a_value_again(service: FaultServer, keeping: Session) -> None:
    service.script(CHAT, chat_stream('{"name": "Jupiter"}'))
    shape = Shape.of(Planet, "Planet")
    for _ in range(2):
        reply = keeping.chat("Largest?", once=True, shape=shape)
        assert reply.value == Planet(name="Jupiter")
    assert reply.from_cache


def test_a_kept_answer_that_does_not_fit_any_more_is_asked_for_anew(
    service: FaultServer, keeping: Session
) -> None:
    service.script(CHAT, chat_stream('{"name": "Jupiter"}'), chat_stream('{"name": "Mars"}'))
    keeping.chat("Which?", once=True, shape=Shape.of(Planet, "Planet"))
    reply = keeping.chat("Which?", once=True, shape=Shape.of(Small, "Planet"))
    assert reply.value == Small(name="Mars")
    assert asked(service) == 2


def test_an_answer_of_the_wrong_shape_is_not_kept(service: FaultServer, keeping: Session) -> None:
    service.script(CHAT, chat_stream("no"), chat_stream("no"), chat_stream('{"name": "Mars"}'))
    shape = Shape.of(Planet, "Planet")
    with pytest.raises(BadAnswer):
        keeping.chat("Which?", once=True, shape=shape)
    assert keeping.chat("Which?", once=True, shape=shape).value == Planet(name="Mars")


def test_the_second_try_is_what_is_kept(service: FaultServer, keeping: Session) -> None:
    service.script(CHAT, chat_stream("no"), chat_stream('{"name": "Mars"}'))
    shape = Shape.of(Planet, "Planet")
    for _ in range(2):
        assert keeping.chat("Which?", once=True, shape=shape).value == Planet(name="Mars")
    assert asked(service) == 2


def test_passages_come_back_as_they_were_sent(
    service: FaultServer, keeping: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CBORG_CONTEXT_TOKENS", "2000")
    keeping.adopt(Settings.read(os.environ))
    passages = (Passage("1", "word " * 5000), Passage("2", "short"))
    first = keeping.chat("Which?", once=True, passages=passages)
    again = keeping.chat("Which?", once=True, passages=passages)
    assert again.from_cache
    assert again.passages == first.passages
    assert len(again.passages[0].text) < len(passages[0].text)


@pytest.mark.parametrize(
    "content", [b"", b"{}", b"\xff\xfe", b"[1, 2]", b'{"version": 1, "text": 3}']
)
def test_a_file_that_cannot_be_read_is_as_if_it_were_not_there(
    service: FaultServer, keeping: Session, answers: Path, content: bytes
) -> None:
    keeping.chat("hi", once=True)
    (file,) = answers.iterdir()
    file.write_bytes(content)
    assert keeping.chat("hi", once=True).from_cache is None
    assert keeping.chat("hi", once=True).from_cache, "it is written anew"


def test_an_answer_of_a_later_version_is_left_alone_to_be_asked_again(
    service: FaultServer, keeping: Session, answers: Path
) -> None:
    keeping.chat("hi", once=True)
    (file,) = answers.iterdir()
    file.write_text(file.read_text().replace('"version": 1', '"version": 2'))
    assert keeping.chat("hi", once=True).from_cache is None


def test_where_it_cannot_be_written_the_answer_stays_and_a_line_says_so(
    service: FaultServer, keeping: Session, answers: Path
) -> None:
    answers.write_text("a file stands in the folder's place")
    assert keeping.chat("hi").text
    assert keeping.warnings[-1].startswith("This answer is not kept: ")


def test_clearing_drops_answers_alone(
    service: FaultServer, keeping: Session, answers: Path
) -> None:
    for model in ("one", "two"):
        keeping.chat("hi", once=True, model=model)
    (answers / "notes.json").write_text("{}")
    (answers / f"{'0' * 40}.json").write_text('{"mine": true}')
    folder = _folder(keeping)
    assert [(each.model, each.count) for each in folder.holdings()] == [("one", 1), ("two", 1)]
    assert folder.clear("one") == 1
    assert keeping.chat("hi", once=True, model="two").from_cache
    assert folder.clear() == 1
    assert len(list(answers.iterdir())) == 2, "files of others stay"


def _folder(session: Session) -> Any:
    from cborg_magics.answers.folder import AnswerFolder

    return AnswerFolder.of(session.settings)


def test_many_kernels_may_keep_the_same_answer_at_once(
    service: FaultServer, keeping: Session, answers: Path
) -> None:
    def ask() -> None:
        with Session.from_environment() as session:
            session.chat("hi", once=True)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(list(answers.iterdir())) == 1
    assert keeping.chat("hi", once=True).from_cache


def test_under_a_cap_that_shortened_it_an_answer_is_not_kept(
    service: FaultServer, keeping: Session, answers: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prices = {"input_cost_per_token": 1e-06, "output_cost_per_token": 1e-04}
    row = {"model_name": "test-model", "model_info": {**prices, "max_output_tokens": 100_000}}
    service.always("/model/info", json_answer({"data": [row]}))
    service.script(CHAT, chat_stream("half", finish="length", usage=usage(10, 300)))
    monkeypatch.setenv("CBORG_BUDGET", "0.05")
    monkeypatch.setenv("CBORG_MAX_TOKENS", "90000")
    keeping.adopt(Settings.read(os.environ))
    reply = keeping.chat("hi", once=True)
    assert reply.capped is not None
    assert keeping.warnings[-1] == "This answer is not kept: it was cut short."
    assert not answers.exists()


def test_a_kept_answer_needs_no_cap(
    service: FaultServer, keeping: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    keeping.chat("hi", once=True)
    monkeypatch.setenv("CBORG_BUDGET", "0")
    keeping.adopt(Settings.read(os.environ))
    assert keeping.chat("hi", once=True).from_cache


@pytest.mark.parametrize("value", [None, "1"])
def test_an_administrators_word_on_the_cache_holds(
    service: FaultServer, session: Session, value: str | None
) -> None:
    session.adopt(Settings.read(os.environ, Policy({"CBORG_CACHE": value})))
    with pytest.raises(NotAllowed, match="CBORG_CACHE"):
        session.chat("hi", cache=value is None)
    assert asked(service) == 0


def test_a_broken_answer_is_still_charged_and_shown(service: FaultServer, keeping: Session) -> None:
    service.script(CHAT, chat_stream("half", CUT))
    with pytest.raises(StreamBroken) as broken:
        keeping.chat("hi", once=True)
    assert broken.value.reply is not None
    assert broken.value.reply.text == "half"


def test_a_question_object_is_the_same_as_its_words(service: FaultServer, keeping: Session) -> None:
    keeping.chat("hi", once=True)
    assert keeping.chat(Question("hi", once=True)).from_cache


def test_it_says_of_which_day_it_is(service: FaultServer, keeping: Session) -> None:
    before = datetime.now(timezone.utc)
    keeping.chat("hi", once=True)
    kept = keeping.kept("hi", once=True)
    assert kept is not None
    assert before <= kept.at <= datetime.now(timezone.utc)
