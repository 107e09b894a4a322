"""%models lists what can be asked, filters it, takes one into use, and checks who answers."""

from __future__ import annotations

import json
import os
import re
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from IPython.core.completer import provisionalcompleter

from cborg_magics.errors import BadOption, CborgError, Interrupted, NotAllowed
from cborg_magics.exchange import Outcome, Source
from cborg_magics.ledger import Ledger
from cborg_magics.magics.models import _tokens
from tests.conftest import KEY
from tests.services import catalogue_300
from tests.services.answers import HANG, Answer, chat_json, html, json_answer, refusal, usage
from tests.services.faults import FaultServer, nobody
from tests.services.proxy import Proxy


def row(name: str, behind: str = "", **info: Any) -> dict[str, Any]:
    """A row of /model/info."""
    return {
        "model_name": name,
        "litellm_params": {"model": behind or f"openai/{name}"},
        "model_info": info,
    }


FEW = [
    row(
        "claude-sonnet",
        "anthropic/claude-sonnet-4-5",
        input_cost_per_token=3e-06,
        output_cost_per_token=1.5e-05,
        cache_read_input_token_cost=3e-07,
        cache_creation_input_token_cost=3.75e-06,
        max_input_tokens=200_000,
        max_output_tokens=64_000,
        supports_vision=True,
        supports_function_calling=True,
    ),
    row("claude-old", "anthropic/claude-2", input_cost_per_token=8e-06, max_input_tokens=100_000),
    row(
        "house",
        "hosted_vllm/gemma",
        input_cost_per_token=0,
        output_cost_per_token=0,
        max_input_tokens=32_768,
        supports_vision=False,
    ),
    row("house-too", "hosted_vllm/gemma", input_cost_per_token=0, output_cost_per_token=0),
    row("silent"),
    row("words-to-numbers", mode="embedding", input_cost_per_token=2e-08, output_vector_size=768),
    row("painter", mode="image_generation"),
]


@pytest.fixture
def few(service: FaultServer, monkeypatch: pytest.MonkeyPatch) -> FaultServer:
    """A service with seven models."""
    service.always("/model/info", json_answer({"data": FEW}))
    monkeypatch.setenv("CBORG_MODEL", "house")
    return service


@pytest.fixture
def cborg(few: FaultServer, monkeypatch: pytest.MonkeyPatch) -> FaultServer:
    """The same as CBorg, whose vLLM servers are proof of on-premises."""
    monkeypatch.setenv("CBORG_API_KEY", KEY)
    monkeypatch.setenv("CBORG_BASE_URL", few.url)
    return few


def run(shell: Any, cell: str) -> Any:
    """Run a cell; its error, if it failed."""
    return shell.run_cell(cell).error_in_exec


class Screen:
    """What a terminal shows, read once."""

    def __init__(self, shell: Any, capsys: pytest.CaptureFixture[str]) -> None:
        self._shell, self._capsys = shell, capsys

    def __call__(self, line: str) -> str:
        assert run(self._shell, f"{line}\n") is None
        return self._capsys.readouterr().out

    def names(self, line: str) -> list[str]:
        """The first words of the table's rows."""
        words = [each.split() for each in self(line).splitlines()]
        return [each[0] for each in words if each[0] in NAMES]


def offered(shell: Any, line: str) -> list[str]:
    """What Tab offers at the end of a line."""
    with provisionalcompleter():
        return [each.text for each in shell.Completer.completions(line, len(line))]


NAMES = {each["model_name"] for each in FEW}


@pytest.fixture
def screen(shell: Any, capsys: pytest.CaptureFixture[str]) -> Screen:
    return Screen(shell, capsys)


# -- the list ------------------------------------------------------------------------------


def test_the_list_is_a_table_that_tells_prices_windows_and_abilities(
    screen: Screen, few: FaultServer
) -> None:
    lines = screen("%models").splitlines()
    assert re.fullmatch(
        r"7 models of LiteLLM \(127.0.0.1:\d+\) · \$/M: US dollars per million tokens"
        r" · listed \d{4}-\d\d-\d\d \d\d:\d\d, just now",
        lines[0],
    )
    assert [re.split(r"\s{2,}", line) for line in lines[1:]] == [
        ["model", "$/M in", "$/M out", "context", "can", "runs"],
        ["claude-sonnet", "3.00", "15.00", "200k", "vision, tools, caching", "cloud"],
        ["claude-old", "8.00", "not told", "100k", "cloud"],
        ["house · default", "free", "free", "32.8k", "not told"],
        ["house-too", "free", "free", "not told"],
        ["silent", "no price told", "not told"],
        ["words-to-numbers", "0.02", "embed to 768", "not told"],
        ["painter", "no price told", "image", "not told"],
    ]


@pytest.mark.parametrize(
    ("line", "names"),
    [
        ("claude", ["claude-sonnet", "claude-old"]),
        ("CLAUDE old", ["claude-old"]),
        ("gemma", ["house", "house-too"]),
        ("--vision", ["claude-sonnet"]),
        ("--tools", ["claude-sonnet"]),
        ("claude --vision", ["claude-sonnet"]),
        ("--vision claude", ["claude-sonnet"]),
        ("--embed", ["words-to-numbers"]),
        ("--cached", ["claude-sonnet"]),
        ("--free", ["house", "house-too"]),
        ("--max-price 3", ["claude-sonnet", "house", "house-too", "words-to-numbers"]),
        ("--max-price $2.99", ["house", "house-too", "words-to-numbers"]),
        ("--context 200k", ["claude-sonnet"]),
        ("--context=0.1M", ["claude-sonnet", "claude-old"]),
        ("--sort name claude", ["claude-old", "claude-sonnet"]),
        ("claude --sort price", ["claude-sonnet", "claude-old"]),
        ("--on-prem", []),
    ],
)
def test_words_and_options_filter_and_sort(
    screen: Screen, few: FaultServer, line: str, names: list[str]
) -> None:
    assert screen.names(f"%models {line}") == names


def test_sorting_by_price_puts_the_free_first_and_the_unpriced_last(
    screen: Screen, few: FaultServer
) -> None:
    assert screen.names("%models --sort price") == [
        *("house", "house-too", "words-to-numbers", "claude-sonnet", "claude-old"),
        *("silent", "painter"),
    ]
    assert screen.names("%models --sort context")[:3] == ["claude-sonnet", "claude-old", "house"]


def test_on_premises_is_claimed_only_on_proof(screen: Screen, cborg: FaultServer) -> None:
    assert screen.names("%models --on-prem") == ["house", "house-too"]
    assert "on-premises" in screen("%models house-too")


def test_a_miss_is_said_with_what_may_have_been_meant(screen: Screen, few: FaultServer) -> None:
    out = screen("%models claude-sonet")
    assert out.startswith("0 of 7 models")
    assert "Did you mean claude-sonnet or claude-old?" in out
    assert "Nothing is all of that" in screen("%models --vision --free")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("--visoin", "Did you mean --vision?"),
        ("--max-price much", "'much' is not a number of dollars"),
        ("--context lots", "'lots' is not a number of tokens, like 200k or 1M"),
        ("--sort colour", "invalid choice"),
        ("--free=yes", "--free takes no value"),
        ("-o 1x", "'1x' is not a variable's name"),
        ('"house', "a quote is not closed"),
        ("--use", "a value is missing after --use"),
        ("--use house claude-old", "--use takes one name"),
        ("--use hous", "Did you mean house"),
        ("--check hous", "Did you mean house"),
        ("--check painter", "painter is for image, not for words"),
    ],
)
def test_a_mistake_in_the_line_is_said(shell: Any, few: FaultServer, line: str, words: str) -> None:
    error = run(shell, f"%models {line}\n")
    assert isinstance(error, BadOption), error
    assert words in str(error)
    assert len(error._render_traceback_()) <= 2
    assert few.requests_to("/chat/completions") == []


def test_numbers_of_tokens_are_written_as_people_write_them() -> None:
    written = ("200000", "200,000", "200k", "0.2M", "1M", "1m")
    assert [_tokens(each) for each in written] == [200_000] * 4 + [1_000_000] * 2


def test_an_exact_name_tells_all_of_one_model(screen: Screen, few: FaultServer) -> None:
    told = dict(
        re.split(r"\s{2,}", line, maxsplit=1)
        for line in screen("%models claude-sonnet").splitlines()
    )
    assert told == {
        "claude-sonnet": "chat",
        "stands for": "anthropic/claude-sonnet-4-5",
        "$ per million tokens": (
            "3.00 in · 15.00 out · 0.30 read from the service's cache · 3.75 written to it"
        ),
        "takes": "200,000 tokens at most",
        "writes": "64,000 tokens at most",
        "can": "vision, tools, caching",
        "runs": "cloud",
    }
    house = screen("%models house")
    assert re.search(r"^also named +house-too$", house, re.M)
    assert re.search(r"^\$ per million tokens +free$", house, re.M)
    assert re.search(r"^cannot +vision$", house, re.M)
    assert re.search(r"^\$ per million tokens +not told$", screen("%models silent"), re.M)
    assert re.search(r"^can +embed to 768$", screen("%models words-to-numbers"), re.M)


def test_a_system_prompt_that_a_model_brings_is_told(screen: Screen, cborg: FaultServer) -> None:
    cborg.always("/model/info", json_answer({"data": [row("lbl/cborg-chat")] * 2}))
    one = screen("%models lbl/cborg-chat")
    assert re.search(r"^system prompt +brings one of its own$", one, re.M)
    assert re.search(r"^deployments +2$", one, re.M)


def test_the_table_goes_into_a_variable(
    shell: Any, screen: Screen, few: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    screen("%models claude -o df")
    df = shell.user_ns["df"]
    assert list(df["model"]) == ["claude-sonnet", "claude-old"]
    assert list(df["usd_per_million_in"]) == [3.0, 8.0]
    assert df["usd_per_million_out"].isna().tolist() == [False, True]
    screen("%models house -o one")
    assert list(shell.user_ns["one"]["usd_per_million_in"]) == [0.0]
    monkeypatch.setattr("cborg_magics.magics.models.find_spec", lambda name: None)
    screen("%models claude -o found")
    assert [model.name for model in shell.user_ns["found"]] == ["claude-sonnet", "claude-old"]


def test_a_long_list_says_how_many_are_not_shown(
    shell: Any, screen: Screen, service: FaultServer
) -> None:
    service.always("/model/info", json_answer(catalogue_300.answer()))
    out = screen("%models -o df")
    lines = out.splitlines()
    assert len(lines) == 63
    total = len({each["model_name"] for each in catalogue_300.rows()})
    assert lines[-1].startswith(f"{total - 60} more models not shown: add a word")
    assert len(shell.user_ns["df"]) == total
    assert "more models" not in screen("%models vendor3")


HOSTILE = "<img src=x onerror=alert(1)>\x1b[31m\u202egpt\n</td>"


def test_names_of_a_server_are_no_markup_and_move_nothing(
    screen: Screen, service: FaultServer
) -> None:
    service.always("/model/info", json_answer({"data": [row(HOSTILE), row("b")]}))
    out = screen("%models")
    assert not {"\x1b", "\u202e"} & set(out)
    assert len(out.splitlines()) == 4


# -- old lists -----------------------------------------------------------------------------


def kept(home: Path) -> Path:
    return next((home / "models").iterdir())


def aged(home: Path, when: str = "2026-01-02T03:04:05+00:00") -> None:
    """Make the list on disk an old one."""
    found = json.loads(kept(home).read_text())
    kept(home).write_text(json.dumps(found | {"read_at": when}))


def test_the_list_survives_the_kernel_and_an_old_one_is_used_and_said_to_be_old(
    screen: Screen, shell: Any, few: FaultServer, home: Path
) -> None:
    screen("%models")
    assert KEY not in kept(home).read_text()
    aged(home)
    few.always("/model/info", refusal(503, None, "down"))
    shell.run_line_magic("reload_ext", "cborg_magics")
    out = screen("%models claude")
    assert "2 of 7 models" in out
    assert re.search(r"listed 2026-01-0\d \d\d:\d\d, \d+ days ago", out)
    assert "An older list is shown, the service could not be asked: " in out
    few.always("/model/info", json_answer({"data": FEW[:2]}))
    assert "2 models of" in screen("%models --refresh")


def test_without_any_list_it_says_why(
    shell: Any, service: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    service.always("/model/info", html(200, "<html>log in</html>"))
    assert isinstance(run(shell, "%models\n"), CborgError)
    monkeypatch.setenv("LITELLM_BASE_URL", nobody())
    error = run(shell, "%models\n")
    assert type(error).__name__ == "Unreachable"
    assert "cannot reach" in str(error)


def test_refresh_asks_again(screen: Screen, few: FaultServer) -> None:
    assert len(screen.names("%models")) == 7
    few.always("/model/info", json_answer({"data": FEW[:2]}))
    assert len(screen.names("%models")) == 7
    assert len(screen.names("%models --refresh")) == 2


# -- the default ---------------------------------------------------------------------------


def test_use_sets_the_default_of_the_kernel(
    shell: Any, screen: Screen, few: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "claude-old is asked from now on" in screen("%models --use claude-old")
    assert "claude-old · default" in screen("%models")
    screen("%chat --once hello")
    screen("%chat --once -m house hello")
    monkeypatch.setenv("CBORG_MAX_TOKENS", "9")
    screen("%chat --once hello")
    monkeypatch.setenv("CBORG_MODEL", "silent")
    screen("%chat --once hello")
    asked = [request.body["model"] for request in few.requests_to("/chat/completions")]
    assert asked == ["claude-old", "house", "claude-old", "silent"]


def test_tab_completes_the_names(shell: Any, screen: Screen, few: FaultServer) -> None:
    screen("%models")
    for line in ("%models cl", "%models --use cl", "%models --check house cl"):
        assert offered(shell, line) == ["claude-sonnet", "claude-old"], line
    assert "--vision" in offered(shell, "%models --vi")
    assert "claude-sonnet" not in offered(shell, "%models -o cl")
    assert "claude-sonnet" in offered(shell, "%chat -m cl")


# -- what an administrator allows ----------------------------------------------------------


def test_what_may_not_be_asked_is_not_listed_and_counted(
    shell: Any, screen: Screen, cborg: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CBORG_ALLOWED_MODELS", "house*,claude-*")
    out = screen("%models")
    assert "4 models of CBorg" in out
    assert "3 models may not be asked here (CBORG_ALLOWED_MODELS)." in out
    monkeypatch.setenv("CBORG_ON_PREM_ONLY", "1")
    assert screen.names("%models") == ["house", "house-too"]
    assert "is not proved to run on-premises" in screen("%models claude-old")
    assert isinstance(run(shell, "%models --use claude-old\n"), NotAllowed)
    assert isinstance(run(shell, "%models --check silent\n"), NotAllowed)
    out = screen("%models --check")
    assert "2 of 2 models answer" in out
    asked = {request.body["model"] for request in cborg.requests_to("/chat/completions")}
    assert asked == {"house", "house-too"}


# -- the check -----------------------------------------------------------------------------


def test_a_check_asks_for_one_word_or_one_vector(
    shell: Any, screen: Screen, few: FaultServer, home: Path
) -> None:
    few.script("/chat/completions", chat_json("Yes.", usage=usage(10, 2)))
    out = screen("%models --check claude-sonnet words-to-numbers -o df")
    lines = out.splitlines()
    assert re.match(r"2 of 2 models answer · \$0\.0000600 · 0\.\d+ s$", lines[0])
    assert re.search(r"^claude-sonnet +0\.\d\d s +\$0\.0000600 estimated +Yes\.$", out, re.M)
    assert re.search(r"^words-to-numbers .* a vector of 2 numbers$", out, re.M)
    body = few.requests_to("/chat/completions")[-1].body
    assert body["max_tokens"] == 32
    assert few.requests_to("/embeddings")[-1].body["input"] == ["word"]
    rows = Ledger(home).rows()
    assert {each.model for each in rows} == {"claude-sonnet", "words-to-numbers"}
    assert {each.outcome for each in rows} == {Outcome.COMPLETED}
    assert set(shell.user_ns["df"]["model"]) == {"claude-sonnet", "words-to-numbers"}
    assert isinstance(run(shell, "%chat --last\n"), BadOption), "a check is no answer"


def test_what_does_not_answer_is_said_first_and_nothing_waits(
    screen: Screen, few: FaultServer, home: Path
) -> None:
    few.always("/chat/completions", refusal(429, "throttling_error", "slow", {"retry-after": "9"}))
    few.always("/embeddings", refusal(500, None, "<b>broken\x1b[2J</b>"))
    began = time.monotonic()
    out = screen("%models --check house silent words-to-numbers --yes")
    assert time.monotonic() - began < 5
    assert out.startswith("0 of 3 models answer · $0 · ")
    assert "is busy (429)" in out
    assert "nothing charged" in out
    assert "\x1b[2J" not in out
    assert {each.outcome for each in Ledger(home).rows()} == {Outcome.FAILED}


def test_all_are_asked_so_many_at_a_time_as_the_session_allows(
    shell: Any, service: FaultServer, monkeypatch: pytest.MonkeyPatch, home: Path
) -> None:
    data = [row(f"m{n}", input_cost_per_token=0, output_cost_per_token=0) for n in range(23)]
    service.always("/model/info", json_answer({"data": data}))
    service.always("/chat/completions", chat_json("yes", usage=usage(1, 1)).after(0.1))
    assert run(shell, "%models --check\n") is None
    requests = service.requests_to("/chat/completions")
    assert len(requests) == 23
    starts = sorted(request.arrived for request in requests)
    most = max(sum(begin - 0.09 < other <= begin for other in starts) for begin in starts)
    assert 2 <= most <= 5
    assert len(Ledger(home).rows()) == 23


def test_it_asks_before_it_spends_more_than_a_cent(
    shell: Any, few: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    dear = [row("dear", input_cost_per_token=1e-3, output_cost_per_token=1e-3)]
    few.always("/model/info", json_answer({"data": dear}))
    error = run(shell, "%models --check dear\n")
    assert isinstance(error, BadOption)
    assert re.match(r"Checking 1 model may cost \$0\.1\d\d\.", error.what)
    assert "say --yes" in error.do
    assert few.requests_to("/chat/completions") == []
    monkeypatch.setattr("cborg_magics.display.has_person", lambda shell: True)
    answers: Iterator[str] = iter(["", "y"])
    monkeypatch.setattr("builtins.input", lambda words: next(answers))
    assert isinstance(run(shell, "%models --check dear\n"), Interrupted)
    assert run(shell, "%models --check dear\n") is None
    assert len(few.requests_to("/chat/completions")) == 1


def test_all_models_are_asked_after_consent_where_one_tells_no_price(
    shell: Any, few: FaultServer
) -> None:
    error = run(shell, "%models --check\n")
    assert "of them tell no price" in str(error)
    assert run(shell, "%models --check silent\n") is None, "asked for by name"


def test_ctrl_c_keeps_what_was_learnt(
    shell: Any, few: FaultServer, capsys: pytest.CaptureFixture[str], home: Path
) -> None:
    few.script("/chat/completions", chat_json("yes", usage=usage(1, 1)))
    few.always("/chat/completions", Answer(stream=(HANG,)))

    def press() -> None:
        few.wait_for("/chat/completions", 2)
        while not Ledger(home).rows():  # the first has answered
            time.sleep(0.05)
        time.sleep(1)
        os.kill(os.getpid(), signal.SIGINT)

    presser = threading.Thread(target=press)
    presser.start()
    error = run(shell, "%models --check house house-too claude-old --yes -o df\n")
    presser.join()
    assert isinstance(error, KeyboardInterrupt)
    assert "1 of 1 model answer · 2 not asked yet" in capsys.readouterr().out
    assert len(shell.user_ns["df"]) == 1
    few.stop()


def test_a_cap_holds_for_a_check_too(
    shell: Any, screen: Screen, few: FaultServer, monkeypatch: pytest.MonkeyPatch, home: Path
) -> None:
    monkeypatch.setenv("CBORG_BUDGET", "0.0000001")
    out = screen("%models --check claude-sonnet house words-to-numbers --yes")
    assert "1 of 3 models answer" in out
    assert "the cap of" in out


def test_a_real_proxy_is_listed_and_checked(
    shell: Any, screen: Screen, proxy: Proxy, monkeypatch: pytest.MonkeyPatch, home: Path
) -> None:
    monkeypatch.setenv("LITELLM_API_KEY", proxy.master_key)
    monkeypatch.setenv("LITELLM_BASE_URL", proxy.url)
    out = screen("%models")
    assert re.search(r"^anthropic/claude-sonnet +3\.00 +15\.00 +200k +vision, .*caching", out, re.M)
    assert re.search(r"^test/unpriced +no price told", out, re.M)
    assert re.search(r"^nomic-embed-text +0\.02 +8\.19k +embed to 8 ", out, re.M)
    names = "lbl/cborg-chat anthropic/claude-sonnet nomic-embed-text test/unpriced test/down"
    out = screen(f"%models --check {names} -o df")
    assert "4 of 5 models answer" in out
    found = {each.model: each for each in Ledger(home).rows()}
    assert set(found) == set(names.split())
    assert found["test/down"].outcome is Outcome.FAILED
    assert found["anthropic/claude-sonnet"].cost.source is Source.BILLED
    assert re.search(r"^nomic-embed-text .* a vector of 8 numbers$", out, re.M)
    assert re.search(r"^test/unpriced .* cost unknown ", out, re.M)


def test_a_key_sees_what_it_may_use(
    shell: Any, screen: Screen, database_proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = database_proxy.new_key(models=["lbl/cborg-chat", "nomic-embed-text"])
    monkeypatch.setenv("LITELLM_API_KEY", key)
    monkeypatch.setenv("LITELLM_BASE_URL", database_proxy.url)
    assert screen("%models").startswith("2 models of LiteLLM")
    assert "2 of 2 models answer" in screen("%models --check")


def test_the_embedded_model_is_listed_as_here(screen: Screen) -> None:
    pytest.importorskip("xllamacpp")
    out = screen("%models")
    assert re.search(r"2 models of .*this machine", out)
    assert "on this machine" in out
