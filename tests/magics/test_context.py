"""%%chat --context: the answer is made from the person's own texts, and says which."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from cborg_magics.embeddings.embeddings import Embeddings
from cborg_magics.embeddings.origin import Origin
from cborg_magics.errors import BadOption, CborgError
from cborg_magics.planning import FROM_PASSAGES
from tests.conftest import KEY
from tests.magics.test_chat import completions, run, sent
from tests.services.answers import chat_stream, json_answer, refusal
from tests.services.faults import FaultServer

CHAT, EMBED = "/chat/completions", "/embeddings"
# Of these the server's vector of every question, (0.25, 0.5), is most like the third.
TEXTS = ("Bread rises.", "Rain falls.", "Neutrinos oscillate.")
LABELS = ("bread.txt", "rain.txt", "neutrinos.txt")
VECTORS = ((1.0, 0.0), (0.5, 0.5), (0.25, 0.5))


@pytest.fixture
def papers(shell: Any, service: FaultServer) -> Embeddings:
    """What %embed would have left in the variable `papers`."""
    made = Embeddings(TEXTS, VECTORS, Origin(service.url.split("//")[1], "embedder"), labels=LABELS)
    shell.user_ns["papers"] = made
    return made


def question(service: FaultServer) -> str:
    return str(sent(service)["messages"][-1]["content"])


def system(service: FaultServer) -> str:
    return "".join(m["content"] for m in sent(service)["messages"] if m["role"] == "system")


def paths(service: FaultServer) -> list[str]:
    return [path for path in (CHAT, EMBED) if service.requests_to(path)]


@pytest.mark.usefixtures("papers")
def test_the_nearest_passages_go_in_front_of_the_question(shell: Any, service: FaultServer) -> None:
    service.script(CHAT, chat_stream("They do [1]."))
    assert run(shell, "%%chat --context papers -k 2\nWhat do neutrinos do?") is None
    assert question(service) == (
        "[1] neutrinos.txt:\n```text\nNeutrinos oscillate.\n```\n\n"
        "[2] rain.txt:\n```text\nRain falls.\n```\n\n"
        "What do neutrinos do?"
    )
    assert FROM_PASSAGES in system(service)
    assert "[1]" in system(service)


@pytest.mark.usefixtures("papers")
def test_the_cells_text_is_what_is_searched_for_and_nothing_else(
    shell: Any, service: FaultServer
) -> None:
    assert run(shell, "%%chat --context papers --fill\nWhat of {{2 + 2}} {x}?") is None
    [asked] = service.requests_to(EMBED)
    assert asked.body["input"] == "What of {{2 + 2}} {x}?", "a query is a bare string"
    assert asked.body["model"] == "embedder"


@pytest.mark.usefixtures("papers")
def test_five_come_unless_k_says_otherwise_and_no_more_than_there_are(
    shell: Any, service: FaultServer
) -> None:
    for options, count in (("-k 1", 1), ("-k 3", 3), ("", 3), ("-k 50", 3)):
        assert run(shell, f"%chat --once --context papers {options} why?") is None
        assert question(service).count("```text") == count
    many = Embeddings(["a"] * 9, np.ones((9, 2)), shell.user_ns["papers"].origin)
    shell.user_ns["many"] = many
    assert run(shell, "%chat --once --context many why?") is None
    assert question(service).count("```text") == 5


@pytest.mark.usefixtures("papers")
def test_what_was_used_is_shown_below_the_answer(
    shell: Any, service: FaultServer, capsys: pytest.CaptureFixture[str]
) -> None:
    service.script(CHAT, chat_stream("They do [1]."))
    run(shell, "%chat --context papers -k 2 What do neutrinos do?")
    out = capsys.readouterr().out
    answer, table = out.split("2 passages from papers")
    assert "They do [1]." in answer
    assert "1.00  [1] neutrinos.txt  Neutrinos oscillate." in table
    assert "0.95  [2] rain.txt       Rain falls." in table


@pytest.mark.usefixtures("papers")
def test_nothing_is_shown_where_no_answer_came(
    shell: Any, service: FaultServer, capsys: pytest.CaptureFixture[str]
) -> None:
    service.script(CHAT, refusal(400, "invalid_request_error", "no"))
    assert isinstance(run(shell, "%chat --context papers why?"), CborgError)
    assert "passages from" not in capsys.readouterr().out


@pytest.mark.usefixtures("papers")
def test_the_thread_keeps_what_its_questions_were_asked_with(
    shell: Any, service: FaultServer, capsys: pytest.CaptureFixture[str]
) -> None:
    run(shell, "%chat --context papers -k 1 What do neutrinos do?")
    assert run(shell, "%chat And how often?") is None
    first, _, last = (m["content"] for m in sent(service)["messages"])
    assert "Neutrinos oscillate." in first
    assert last == "And how often?"
    assert system(service) == ""
    capsys.readouterr()
    run(shell, "%chat --show")
    out = capsys.readouterr().out
    assert "What do neutrinos do?" in out
    assert "attached [1] neutrinos.txt · 20 bytes" in out


@pytest.mark.usefixtures("papers")
def test_an_exported_thread_names_them(shell: Any, service: FaultServer, tmp_path: Any) -> None:
    run(shell, "%chat --context papers -k 1 What do neutrinos do?")
    assert run(shell, f"%chat --export {tmp_path}/talk.md") is None
    written = (tmp_path / "talk.md").read_text()
    assert "What do neutrinos do?" in written
    assert "*attached: [1] neutrinos.txt · 20 bytes*" in written


@pytest.mark.usefixtures("papers")
def test_a_dry_run_searches_nothing_and_says_what_would_come_along(
    shell: Any, service: FaultServer, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(shell, "%chat --dry-run --context papers -k 2 What do neutrinos do?") is None
    assert paths(service) == []
    out = capsys.readouterr().out
    assert "About 2 passages of papers would come along, 8 tokens more; not searched." in out
    run(shell, "%chat --dry-run --context papers why?")
    assert "About 3 passages of papers" in capsys.readouterr().out
    shell.user_ns["long"] = Embeddings(["word " * 90_000], [[1, 0]], shell.user_ns["papers"].origin)
    run(shell, "%chat --dry-run --context long why?")
    assert "About 1 passage of long would come along, 64,000 tokens more" in capsys.readouterr().out
    run(shell, "%chat --dry-run why?")
    assert "passages" not in capsys.readouterr().out


def test_our_key_does_not_go_along_in_a_passage(
    shell: Any, service: FaultServer, papers: Embeddings, capsys: pytest.CaptureFixture[str]
) -> None:
    secret = "word-and-no-pattern"
    shell.run_cell(f"import os; os.environ['LITELLM_API_KEY'] = '{secret}'")
    texts, labels = [f"the key is {secret}", f"and {KEY}"], [secret, "b"]
    shell.user_ns["mine"] = Embeddings(texts, np.ones((2, 2)), papers.origin, labels=labels)
    assert run(shell, "%chat --context mine why?") is None
    out = capsys.readouterr().out
    for key in (secret, KEY):
        assert key not in question(service)
        assert key not in out
    assert "[key]" in question(service)


@pytest.mark.usefixtures("papers")
@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("--context paper why?", "no variable 'paper'.\nDid you mean papers?"),
        (
            "--context df why?",
            "df is a DataFrame, not Embeddings.\nMake them with %embed -o",
        ),
        ("--context number why?", "number is an int, not Embeddings."),
        ("-k 3 why?", "-k tells how many passages of --context NAME go along."),
        ("--context papers -k 0 why?", "'0' is not a whole number above 0"),
        ("--context papers -k 1.5 why?", "'1.5' is not a whole number above 0"),
        ("--context empty why?", "empty is empty: there is nothing to answer from."),
    ],
)
def test_a_wrong_word_is_refused_before_anything_is_sent(
    shell: Any, service: FaultServer, line: str, words: str
) -> None:
    import pandas as pd

    origin = shell.user_ns["papers"].origin
    shell.user_ns |= {"df": pd.DataFrame({"text": ["a"]}), "number": 5}
    shell.user_ns["empty"] = Embeddings([], np.zeros((0, 2)), origin)
    error = run(shell, f"%chat {line}")
    assert isinstance(error, BadOption)
    assert words in str(error)
    assert paths(service) == []


def test_vectors_of_another_service_are_not_asked_with_ours(
    shell: Any, service: FaultServer, papers: Embeddings
) -> None:
    shell.user_ns["papers"] = Embeddings(TEXTS, VECTORS, Origin("cborg", "embedder"))
    error = run(shell, "%chat --context papers why?")
    assert type(error).__name__ == "DifferentModel"
    assert paths(service) == []


@pytest.mark.usefixtures("papers")
def test_a_search_that_fails_asks_no_model(shell: Any, service: FaultServer) -> None:
    service.always(EMBED, refusal(400, "invalid_request_error", "no such model"))
    assert isinstance(run(shell, "%chat --context papers why?"), CborgError)
    assert service.requests_to(CHAT) == []


def test_passages_too_long_for_the_model_are_cut_and_the_call_is_made(
    shell: Any, service: FaultServer, papers: Embeddings, capsys: pytest.CaptureFixture[str]
) -> None:
    row = {"model_name": "test-model", "model_info": {"max_input_tokens": 4096}}
    service.always("/model/info", json_answer({"data": [row]}))
    shell.user_ns["long"] = Embeddings(["word " * 9000] * 5, np.ones((5, 2)), papers.origin)
    assert run(shell, "%chat --context long why?") is None
    assert len(question(service)) < 2300 * 4
    assert "of 45,000 characters):" in question(service)
    assert "of 45,000 characters" in capsys.readouterr().out


@pytest.mark.filterwarnings("ignore::IPython.core.completer.ProvisionalCompleterWarning")
@pytest.mark.usefixtures("papers", "service")
def test_tab_completes_the_names_of_embeddings(shell: Any) -> None:
    shell.user_ns |= {"pages": 5, "_p": shell.user_ns["papers"]}
    assert completions(shell, "%%chat --context p") == ["papers"]
    assert completions(shell, "%chat --cont") == ["--context"]
    assert "papers" not in completions(shell, "%models --context p")


def test_the_reply_keeps_what_it_was_made_from(
    shell: Any, service: FaultServer, papers: Embeddings
) -> None:
    run(shell, "%chat -o reply --context papers -k 1 why?")
    [passage] = shell.user_ns["reply"].passages
    assert (passage.label, passage.text, passage.row) == (LABELS[2], TEXTS[2], 2)
    assert passage.score == pytest.approx(1.0)
