"""An answer is a value: whole, as JSON, of a type of the notebook's own, or as code."""

from __future__ import annotations

from typing import Any

import pytest

from cborg_magics.errors import BadAnswer, BadOption
from cborg_magics.exchange import Outcome, Reply, Source
from cborg_magics.ledger import Ledger
from tests.magics.test_chat import run, sent
from tests.services.answers import chat_stream, json_answer, refusal, usage
from tests.services.faults import FaultServer

CHAT = "/chat/completions"
CITY = """
from dataclasses import dataclass
@dataclass
class City:
    name: str
    country: str
"""
BONN = '{"name": "Bonn", "country": "Germany"}'


@pytest.fixture
def cities(shell: Any) -> Any:
    run(shell, CITY)
    return shell


def answers(service: FaultServer, *texts: str) -> None:
    service.script(CHAT, *(chat_stream(text, usage=usage(10, 5)) for text in texts))


def listed(service: FaultServer, **said: object) -> None:
    """The service's list of models says this of the one there is."""
    prices = {"input_cost_per_token": 1e-06, "output_cost_per_token": 2e-06}
    row = {"model_name": "test-model", "model_info": {**prices, **said}}
    service.always("/model/info", json_answer({"data": [row]}))


def test_a_reply_goes_into_a_variable(shell: Any, service: FaultServer) -> None:
    answers(service, "See:\n```python\nx = 1\n```")
    assert run(shell, "%%chat -o reply\nhow?") is None
    reply = shell.user_ns["reply"]
    assert isinstance(reply, Reply)
    assert reply.text.startswith("See:")
    assert (reply.model, reply.thread, reply.value) == ("test-model", "main", None)
    assert [(block.language, block.text) for block in reply.code] == [("python", "x = 1")]
    assert reply.usage is not None
    assert reply.usage.prompt == 10
    assert reply.cost.source is Source.UNKNOWN
    assert "```python" in reply._repr_markdown_()


def test_a_reply_that_is_shown_is_harmless(shell: Any, service: FaultServer) -> None:
    answers(service, "<script>alert(1)</script>")
    run(shell, "%chat -o reply hi")
    assert "<script" not in shell.user_ns["reply"]._repr_markdown_()


@pytest.mark.parametrize("name", ["2x", "a.b", "for", "a-b"])
def test_what_is_no_name_of_a_variable_is_refused(
    shell: Any, service: FaultServer, name: str
) -> None:
    error = run(shell, f"%chat -o {name} hi")
    assert isinstance(error, BadOption)
    assert service.requests == []


def test_a_variable_stays_what_it_was_where_the_call_fails(
    shell: Any, service: FaultServer
) -> None:
    shell.user_ns["reply"] = "dear"
    service.script(CHAT, refusal(400, "invalid_request_error", "no"))
    assert run(shell, "%chat -o reply hi") is not None
    answers(service, "no", "no")
    assert run(shell, "%chat -o reply --json hi") is not None
    assert shell.user_ns["reply"] == "dear"


def test_json_arrives_parsed(shell: Any, service: FaultServer) -> None:
    answers(service, '{"a": [1, 2]}')
    assert run(shell, "%chat -o r --json hi") is None
    assert shell.user_ns["r"].value == {"a": [1, 2]}
    body = sent(service)
    assert "response_format" not in body, "the service does not say that it can"
    assert "JSON" in body["messages"][0]["content"]


def test_a_model_that_can_is_held_to_the_schema(cities: Any, service: FaultServer) -> None:
    listed(service, supports_response_schema=True)
    answers(service, BONN)
    assert run(cities, "%chat -o r --schema City which?") is None
    assert cities.user_ns["r"].value == cities.user_ns["City"]("Bonn", "Germany")
    body = sent(service)
    assert body["response_format"]["json_schema"]["name"] == "City"
    assert [message["role"] for message in body["messages"]] == ["user"]


@pytest.mark.parametrize("said", [{}, {"supports_response_schema": False}])
def test_a_model_that_cannot_is_told_the_schema_and_held_to_it_all_the_same(
    cities: Any, service: FaultServer, said: dict[str, object]
) -> None:
    listed(service, **said)
    answers(service, f"Here you are:\n```json\n{BONN}\n```")
    assert run(cities, "%chat -o r -s brief --schema City which?") is None
    assert cities.user_ns["r"].value.name == "Bonn"
    body = sent(service)
    assert "response_format" not in body
    assert body["messages"][0]["content"].startswith("brief\n\nAnswer with one JSON value")
    assert '"country"' in body["messages"][0]["content"]


def test_a_wrong_answer_is_asked_for_once_more_and_both_are_charged(
    cities: Any, service: FaultServer, capsys: pytest.CaptureFixture[str]
) -> None:
    listed(service)
    answers(service, '{"name": "Bonn"}', BONN)
    assert run(cities, "%chat -o r --schema City which?") is None
    assert cities.user_ns["r"].value.country == "Germany"
    said = [message["content"] for message in sent(service)["messages"]]
    assert said[-2] == '{"name": "Bonn"}'
    assert said[-1].startswith("The answer does not fit City: country is missing.")
    shown = capsys.readouterr().out
    assert '{"name": "Bonn"}' in shown
    assert "the answer does not fit City: country is missing; asking once more" in shown
    session = cities.find_line_magic("chat").__self__._shared.session()
    rows = session.ledger.rows()
    assert [row.outcome for row in rows] == [Outcome.COMPLETED] * 2
    assert all(row.cost.dollars for row in rows)
    (turn,) = session.conversation.turns()
    assert (turn.question.content, turn.reply.text) == ("which?", BONN)


def test_a_second_wrong_answer_fails_the_cell_and_is_kept(
    cities: Any, service: FaultServer, capsys: pytest.CaptureFixture[str]
) -> None:
    answers(service, "Bonn", "Still Bonn")
    error = run(cities, "%chat -o r --schema City which?")
    assert isinstance(error, BadAnswer)
    assert error.reply is not None
    assert error.reply.text == "Still Bonn"
    assert "Still Bonn" in capsys.readouterr().out
    assert "r" not in cities.user_ns
    session = cities.find_line_magic("chat").__self__._shared.session()
    assert len(service.requests_to(CHAT)) == len(session.ledger.rows()) == 2
    assert session.conversation.turns() == ()
    assert session.last.text == "Still Bonn"


def test_an_answer_that_was_cut_is_not_asked_for_again(cities: Any, service: FaultServer) -> None:
    service.script(CHAT, chat_stream('{"name": "Bo', finish="length"))
    error = run(cities, "%chat --max-tokens 4 --schema City which?")
    assert isinstance(error, BadAnswer)
    assert "--max-tokens" in str(error)
    assert len(service.requests_to(CHAT)) == 1


@pytest.mark.parametrize("name", ["Citi", "len", "City.nope"])
def test_what_is_no_schema_is_refused_before_anything_is_sent(
    cities: Any, service: FaultServer, name: str
) -> None:
    error = run(cities, f"%chat --schema {name} which?")
    assert isinstance(error, BadOption)
    assert service.requests == []


def test_python_goes_into_a_new_cell_and_is_not_run(shell: Any, service: FaultServer) -> None:
    answers(service, "So:\n```python\nran = True\n```", "just words")
    inserted: list[tuple[str, bool]] = []
    shell.set_next_input = lambda text, replace=False: inserted.append((text, replace))
    run(shell, "%chat --code how?")
    run(shell, "%chat --code how?")
    assert inserted == [("ran = True", False)]
    assert "ran" not in shell.user_ns


def test_values_are_filled_in_only_where_it_is_asked_for(shell: Any, service: FaultServer) -> None:
    run(shell, "class Run: number = 7\nrun = Run(); secret = 'no'; text = '{{secret}}'")
    question = r"{{run.number}} {run} {{ text }} {{1+1}} \frac{{a}{b}} {% if %} {{}}"
    run(shell, f"%chat {question}")
    assert sent(service)["messages"][-1]["content"] == question
    run(shell, f"%chat --once --fill {question}")
    filled = r"7 {run} {{secret}} {{1+1}} \frac{{a}{b}} {% if %} {{}}"
    assert sent(service)["messages"][-1]["content"] == filled
    error = run(shell, "%chat --fill what is {{rum}}?")
    assert str(error) == "There is no variable 'rum'.\nDid you mean run?"


def test_a_dry_run_asks_no_model(
    shell: Any, service: FaultServer, capsys: pytest.CaptureFixture[str]
) -> None:
    listed(service, max_output_tokens=1000)
    service.script("/utils/token_counter", json_answer({"total_tokens": 1234}))
    assert run(shell, "%%chat --dry-run -s brief -a notes\nwhat?") is not None, "no such variable"
    shell.user_ns["notes"] = {"a": 1}
    run(shell, "%chat hello")
    capsys.readouterr()
    asked = len(service.requests_to(CHAT))
    assert run(shell, "%%chat --dry-run -s brief -a notes\nwhat?") is None
    assert len(service.requests_to(CHAT)) == asked
    shown = capsys.readouterr().out
    assert "Dry run, nothing was asked: test-model" in shown
    assert "It would send a system text, 1 turn of main, notes, the question." in shown
    assert "1,234 tokens in (counted by the service), up to 1,000 out." in shown
    assert "Cost: $0.00123 to $0.00323, estimated." in shown


def test_a_dry_run_says_what_the_caps_leave(
    shell: Any,
    service: FaultServer,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    listed(service)
    monkeypatch.setenv("CBORG_BUDGET_DAY", "0.25")
    assert run(shell, "%chat --dry-run what is it?") is None
    assert "The cap of $0.25 a day (CBORG_BUDGET_DAY) leaves $0.250." in capsys.readouterr().out


def test_a_dry_run_says_what_it_does_not_know(
    shell: Any, service: FaultServer, capsys: pytest.CaptureFixture[str]
) -> None:
    service.always("/model/info", json_answer({"detail": "Not Found"}, 404))
    service.always("/utils/token_counter", json_answer({"detail": "Not Found"}, 404))
    assert run(shell, "%chat --dry-run what is it?") is None
    shown = capsys.readouterr().out
    assert "3 tokens in (a guess at four bytes each), no limit on the answer." in shown
    assert "Cost: unknown." in shown


def test_a_prompt_is_kept_by_anthropics_models(shell: Any, service: FaultServer) -> None:
    told = usage(2000, 5) | {"cache_creation_input_tokens": 1900}
    service.script(CHAT, chat_stream("yes", usage=told))
    run(shell, "%chat -o r -m claude -s long --cache-prompt hi")
    system = {"type": "text", "text": "long", "cache_control": {"type": "ephemeral"}}
    assert sent(service)["messages"][0] == {"role": "system", "content": [system]}
    assert shell.user_ns["r"].usage.written == 1900
    run(shell, "%chat -m gpt-5 -s long --cache-prompt hi")
    assert sent(service)["messages"][0] == {"role": "system", "content": "long"}


def test_tokens_written_to_a_cache_that_an_old_proxy_leaves_out_are_counted(
    shell: Any, service: FaultServer
) -> None:
    old = usage(10, 5) | {"cache_creation_input_tokens": 2000}
    new = usage(2010, 5) | {"cache_creation_input_tokens": 2000}
    new["prompt_tokens_details"] = {"cached_tokens": 0, "cache_creation_tokens": 2000}
    for told in (old, new):
        service.script(CHAT, chat_stream("yes", usage=told))
        run(shell, "%chat -o r hi")
        assert shell.user_ns["r"].usage.prompt == 2010


def test_a_key_of_ours_never_goes_along_whatever_it_looks_like(
    shell: Any, service: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CBORG_API_KEY", "plain-words-as-a-key")
    monkeypatch.setenv("CBORG_PROVIDER", "litellm")
    run(shell, "settings = {'key': 'plain-words-as-a-key'}")
    assert run(shell, "%chat -a settings what?") is None
    assert "plain-words-as-a-key" not in str(sent(service))
    assert "[key]" in str(sent(service))


def test_money_and_markup_in_our_own_lines_are_just_text() -> None:
    from cborg_magics.display.notebook import quiet

    html = quiet("$1 to $2 <b>")
    assert html.count("<span>$</span>") == 2
    assert "&lt;b&gt;" in html


def test_the_ledger_says_which_thread_a_call_was_of(shell: Any, service: FaultServer) -> None:
    run(shell, "%chat -t side hi")
    run(shell, "%chat --once hi")
    session = shell.find_line_magic("chat").__self__._shared.session()
    ledger: Ledger = session.ledger
    assert [row.thread for row in ledger.rows()] == ["side", None]
