"""What the teacher's page tells is what a real proxy does, and what the lesson's hour holds."""

from __future__ import annotations

import csv
import re
from pathlib import Path
from typing import Any

import pytest

from cborg_magics.errors import KeyRefused, ModelNotAllowed
from cborg_magics.session import Session
from tests.services.proxy import Proxy
from tests.workshop import lessons
from tests.workshop.lessons import LESSONS, WORKSHOP

PAGE = (WORKSHOP / "teacher.md").read_text(encoding="utf-8")
README = (WORKSHOP / "README.md").read_text(encoding="utf-8")
MODELS = ["openai/gpt-4.1", "nomic-embed-text"]


def command(name: str) -> str:
    """The Python after a marker of the page."""
    found = re.search(rf"<!-- command: {name} -->\n```python\n(.+?)```", PAGE, re.DOTALL)
    assert found
    return found[1]


def test_thirty_keys_are_made_that_may_do_what_the_class_may(
    database_proxy: Proxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LITELLM_BASE_URL", database_proxy.url)
    monkeypatch.setenv("LITELLM_MASTER_KEY", database_proxy.master_key)
    monkeypatch.setenv("CLASS_MODELS", ",".join(MODELS))
    monkeypatch.setenv("CBORG_MODEL", MODELS[0])
    names: dict[str, Any] = {}
    exec(command("keys"), names)
    with Path("keys.csv").open(newline="") as file:
        keys = dict(csv.reader(file))
    assert len(keys) == 30
    monkeypatch.setenv("LITELLM_API_KEY", keys["workshop-07"])
    with Session.from_environment() as session:
        assert session.chat("hello", once=True).text
        with pytest.raises(ModelNotAllowed):
            session.chat("hello", model="anthropic/claude-sonnet", once=True)
        account = session.client.account()
        assert {each.owner: each.limit for each in account.budgets} == {"key": 0.5, "team": 10}
        assert account.expires_at
    database_proxy.wait_for_spend(keys["workshop-07"])
    exec(command("after"), names)
    shown = capsys.readouterr().out
    assert re.search(r"'workshop-07': \d\.?\d*e?-?\d*[1-9]", shown)
    assert "'workshop-30': 0.0" in shown
    with Session.from_environment() as session, pytest.raises(KeyRefused):
        session.chat("hello", once=True)


def test_a_class_whose_network_dies_goes_on_with_the_embedded_model(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("LITELLM_API_KEY", "sk-test-2f9c81d4ab07e6")
    monkeypatch.setenv("LITELLM_BASE_URL", "http://127.0.0.1:9")  # nobody answers there
    monkeypatch.setenv("CBORG_MODEL", MODELS[0])
    name, value = re.search(r"^%env (\w+)=(\w+)$", PAGE, re.MULTILINE).groups()
    monkeypatch.setenv(name, value)
    with Session.from_environment() as session:
        assert "Paris" in session.chat("What is the capital of France?", once=True).text


@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
def test_the_tables_tell_the_minutes_of_the_notebooks(path: Path) -> None:
    teaching, exercises = lessons.minutes(lessons.read(path))
    assert re.search(rf"^\| {path.stem[0]} .+? \| {teaching} \| {exercises} \|", PAGE, re.MULTILINE)
    assert f"| [{path.stem}]({path.name}) | {teaching + exercises} |" in README


def test_the_sum_of_the_table_is_an_hour() -> None:
    told = [lessons.minutes(lessons.read(path)) for path in LESSONS]
    teaching, exercises = map(sum, zip(*told, strict=True))
    assert f"| **sum** | **{teaching}** | **{exercises}** | **60** |" in PAGE
    assert teaching + exercises == 60
