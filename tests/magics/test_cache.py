"""%%chat --cache: Run All again costs nothing, and says so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.magics.test_chat import run
from tests.services.answers import chat_stream, json_answer, usage
from tests.services.faults import FaultServer

CHAT = "/chat/completions"


@pytest.fixture
def priced(service: FaultServer) -> FaultServer:
    """The service, with a price: an answer costs $0.0045."""
    prices = {"input_cost_per_token": 3e-06, "output_cost_per_token": 1.5e-05}
    row = {"model_name": "test-model", "model_info": prices}
    service.always("/model/info", json_answer({"data": [row]}))
    service.always(CHAT, chat_stream("Paris", 0.3, usage=usage(1000, 100)))
    return service


def test_the_badge_says_what_the_answer_cost_once_and_that_it_costs_nothing_now(
    shell: Any, priced: FaultServer, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(2):
        assert run(shell, "%chat --cache --once Capital?") is None
    first, again = (line for line in capsys.readouterr().out.splitlines() if line[0] == "[")
    assert "$0.00450 estimated" in first
    assert again.startswith("[test-model · from cache of ")
    assert again.endswith(", 0 of $0.00450 estimated]")
    assert len(priced.requests_to(CHAT)) == 1


def test_run_all_twice_pays_once(
    shell: Any, priced: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CBORG_CACHE", "1")
    cells = ["%chat Capital?", "%%chat -o reply\nAnd of Spain?", "%chat --once -s Brief Hi"]
    for _ in range(2):
        shell.run_line_magic("reload_ext", "cborg_magics")  # as after Restart Kernel
        for cell in cells:
            assert run(shell, cell) is None
    assert len(priced.requests_to(CHAT)) == len(cells)
    assert shell.user_ns["reply"].from_cache
    assert shell.user_ns["reply"].joined.turn == 2


def test_a_dry_run_tells_that_the_answer_is_at_hand(
    shell: Any, priced: FaultServer, capsys: pytest.CaptureFixture[str]
) -> None:
    run(shell, "%chat --cache --once Capital?")
    capsys.readouterr()
    run(shell, "%chat --cache --once --dry-run Capital?")
    said = capsys.readouterr().out
    assert "the answer of test-model is in the cache, of " in said
    assert "Cost: nothing." in said
    run(shell, "%chat --once --dry-run Capital?")
    assert "It would send" in capsys.readouterr().out


def test_what_is_kept_can_be_seen_and_dropped(
    shell: Any, priced: FaultServer, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(shell, "%chat --cache-info")
    assert f"No answers are kept in {home / 'answers'}." in capsys.readouterr().out
    run(shell, "%chat --cache --once Capital?")
    run(shell, "%chat --cache --once -m other Capital?")
    capsys.readouterr()
    run(shell, "%chat --cache-info")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"answers kept in {home / 'answers'}"
    assert [line.split()[1:3] for line in lines[2:]] == [["other", "1"], ["test-model", "1"]]
    assert "1 unknown" in lines[2]
    assert "$0.00450 estimated" in lines[3]
    run(shell, "%chat --cache-clear other")
    assert capsys.readouterr().out == "1 answer dropped of other.\n"
    run(shell, "%chat --cache-clear")
    assert capsys.readouterr().out == "1 answer dropped.\n"


@pytest.mark.parametrize("line", ["--no-cache --cache hi", "--no-cache --refresh hi"])
def test_options_that_contradict_each_other_are_refused(
    shell: Any, service: FaultServer, line: str
) -> None:
    assert "--no-cache does not go together" in str(run(shell, f"%chat {line}"))
    assert not service.requests_to(CHAT)


def test_cache_info_and_clear_do_not_go_together(shell: Any, service: FaultServer) -> None:
    problem = str(run(shell, "%chat --cache-info --cache-clear"))
    assert "--cache-info and --cache-clear do not go together" in problem


def test_the_folder_that_is_named_is_relative_to_the_notebook(
    shell: Any, priced: FaultServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CBORG_CACHE", "answers")
    run(shell, "%chat Capital?")
    assert len(list((tmp_path / "answers").iterdir())) == 1
