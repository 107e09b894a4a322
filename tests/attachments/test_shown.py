"""The newest pictures that cells showed are kept, and never more than 64 MB of them."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

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
KEPT = "[(p.cell, p.type) for e in __import__('cborg_magics')._loaded.values() for p in e.pictures]"


def test_a_picture_is_remembered_with_its_cell(tmp_path: Path) -> None:
    with kernel(clean_environment(tmp_path)) as running:
        running.run("1 + 1")
        count = running.run(SHOW).messages[1]["content"]["execution_count"]
        assert running.value(KEPT).strip() == f"[({count}, 'image/png')]"
        running.run("%unload_ext cborg_magics")
        assert running.run(SHOW).status == "ok"


def test_the_oldest_are_let_go_when_there_is_too_much() -> None:
    shell: Any = SimpleNamespace(displayhook=SimpleNamespace(prompt_count=1))
    pictures = ShownPictures(shell, most_bytes=250)
    for letter in "abcd":
        message = {"content": {"data": {"image/png": letter * 100}}}
        assert pictures._hear(message) is message
    assert [picture.data[0] for picture in pictures] == ["c", "d"]


def test_a_message_of_another_kind_is_passed_on() -> None:
    shell: Any = SimpleNamespace(displayhook=SimpleNamespace(prompt_count=1))
    pictures = ShownPictures(shell)
    for message in ({}, {"content": None}, {"content": {"data": {"image/png": None}}}):
        assert pictures._hear(message) is message
    assert list(pictures) == []
