"""The newest pictures that cells showed are kept, and never more than 64 MB of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from IPython.core.interactiveshell import InteractiveShell

from cborg_magics.attachments.shown import ShownPictures
from tests.front_ends.kernel import clean_environment, kernel

SHOW = """
from IPython.display import Image, display
import base64
png = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
display(Image(data=png)); print("no picture")
"""
LISTEN = """
from cborg_magics.attachments.shown import ShownPictures
pictures = ShownPictures(get_ipython())
pictures.install()
"""
KEPT = "[(p.cell, p.type) for p in pictures]"


def message(kind: str, data: object, display_id: str | None = None) -> dict[str, Any]:
    transient = {"display_id": display_id} if display_id else {}
    return {"header": {"msg_type": kind}, "content": {"data": data, "transient": transient}}


def png(letter: str) -> dict[str, str]:
    return {"image/png": letter * 100}


def letters(pictures: ShownPictures) -> str:
    return "".join(picture.data[0] for picture in pictures)


@pytest.fixture
def pictures() -> ShownPictures:
    shell: Any = SimpleNamespace(displayhook=SimpleNamespace(prompt_count=1), user_ns={})
    return ShownPictures(shell, most_bytes=250)


@pytest.fixture
def heard(shell: InteractiveShell) -> Iterator[ShownPictures]:
    """What a real shell's results are heard by."""
    pictures = ShownPictures(shell)
    pictures.install()
    yield pictures
    pictures.remove()


def test_a_picture_is_remembered_with_its_cell(tmp_path: Path) -> None:
    with kernel(clean_environment(tmp_path), load=False) as running:
        running.run(LISTEN)
        running.run("1 + 1")
        count = running.run(SHOW).messages[1]["content"]["execution_count"]
        assert running.value(KEPT).strip() == f"[({count}, 'image/png')]"
        running.run("pictures.remove()")
        assert running.run(SHOW).status == "ok"
        assert running.value(KEPT).strip() == "[]"


def test_the_oldest_are_let_go_when_there_is_too_much(pictures: ShownPictures) -> None:
    for letter in "abcd":
        sent = message("display_data", png(letter))
        assert pictures._hear(sent) is sent
    assert letters(pictures) == "cd"


def test_an_update_replaces_its_picture_where_it_stands(pictures: ShownPictures) -> None:
    pictures._hear(message("display_data", png("a"), "one"))
    pictures._hear(message("display_data", png("b")))
    pictures._hear(message("update_display_data", png("c"), "one"))
    assert letters(pictures) == "cb"


def test_an_update_without_a_picture_takes_it_away(pictures: ShownPictures) -> None:
    pictures._hear(message("display_data", png("a"), "one"))
    pictures._hear(message("update_display_data", {"text/plain": "done"}, "one"))
    assert letters(pictures) == ""


def test_a_place_may_be_filled_later(pictures: ShownPictures) -> None:
    pictures._hear(message("display_data", {"text/plain": "wait"}, "one"))
    pictures._hear(message("update_display_data", png("a"), "one"))
    assert letters(pictures) == "a"


@pytest.mark.parametrize(("wait", "at_once"), [(False, ""), (True, "a")])
def test_what_a_cell_clears_is_forgotten(pictures: ShownPictures, wait: bool, at_once: str) -> None:
    pictures._hear(message("display_data", png("a")))
    pictures._hear({"header": {"msg_type": "clear_output"}, "content": {"wait": wait}})
    assert letters(pictures) == at_once
    pictures._hear(message("display_data", png("b")))
    assert letters(pictures) == "b"


@pytest.mark.parametrize(
    "sent",
    [
        {},
        {"content": None},
        {"header": None, "content": {"data": {"image/png": None}}},
        message("display_data", None),
        message("display_data", {3: "text"}),
        message("display_data", {"application/vnd.plotly.v1+json": {1, 2}}),
        message("update_display_data", {"text/plain": ""}, "unknown"),
    ],
)
def test_whatever_is_displayed_is_passed_on(pictures: ShownPictures, sent: dict[str, Any]) -> None:
    assert pictures._hear(sent) is sent
    assert list(pictures) == []


def test_a_chart_that_the_front_end_draws_is_a_picture(pictures: ShownPictures) -> None:
    pictures._hear(message("display_data", {"application/vnd.plotly.v1+json": {"data": []}}))
    assert [(each.type, each.data) for each in pictures] == [
        ("application/vnd.plotly.v1+json", '{"data": []}')
    ]


def test_results_are_heard_and_still_shown(
    heard: ShownPictures, shell: InteractiveShell, capsys: pytest.CaptureFixture[str]
) -> None:
    shell.run_cell("class Drawn:\n    def _repr_png_(self):\n        return b'picture'\n")
    shell.run_cell("Drawn()", store_history=True)
    assert [(each.type, each.data) for each in heard] == [("image/png", "cGljdHVyZQ==")]
    assert "Drawn" in capsys.readouterr().out


def test_a_fault_of_ours_breaks_no_result(
    heard: ShownPictures,
    shell: InteractiveShell,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(heard, "_most_bytes", None)
    shell.run_cell("class Drawn:\n    def _repr_png_(self):\n        return b'picture'\n")
    shell.run_cell("Drawn()", store_history=True)
    assert "Drawn" in capsys.readouterr().out


def test_taken_out_it_leaves_the_shell_as_it_was(shell: InteractiveShell) -> None:
    before = shell.displayhook.write_format_data
    pictures = ShownPictures(shell)
    pictures.install()
    pictures.remove()
    pictures.remove()
    assert shell.displayhook.write_format_data == before


def test_a_wrapper_around_ours_is_left_alone(
    shell: InteractiveShell, capsys: pytest.CaptureFixture[str]
) -> None:
    pictures = ShownPictures(shell)
    pictures.install()
    ours = shell.displayhook.write_format_data
    shell.displayhook.write_format_data = lambda *data: ours(*data)
    pictures.remove()
    shell.run_cell("'still shown'")
    assert "still shown" in capsys.readouterr().out
