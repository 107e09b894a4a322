"""A corpus in a real kernel: progress while it runs, and nothing is paid for twice."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from cborg_magics.embeddings.cache import VectorCache
from cborg_magics.ledger import Ledger
from tests.conftest import KEY
from tests.front_ends.kernel import clean_environment, kernel
from tests.services.encoder import Encoder

CORPUS = "texts = [f'text {number}' for number in range(1280)]"
EMBED = "%embed -o found texts"


@pytest.fixture
def environment(encoder: Encoder, tmp_path: Path) -> dict[str, str]:
    return clean_environment(tmp_path, LITELLM_API_KEY=KEY, LITELLM_BASE_URL=encoder.url)


def wait_until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.02)


def test_after_kill_9_the_next_kernel_asks_for_no_text_twice(
    encoder: Encoder, environment: dict[str, str], tmp_path: Path
) -> None:
    """Seven batches are answered and five are under way when the kernel dies."""
    encoder.hold_after(7)
    with kernel(environment) as first:
        first.run(CORPUS)
        first.begin(EMBED)
        home = tmp_path / "cborg"
        wait_until(lambda: sum(each.count for each in VectorCache(home).holdings()) == 7 * 64)
        wait_until(lambda: len(encoder.texts()) == 12)
        first.kill()
    assert len(Ledger(home).rows()) == 7
    answered = set(encoder.answered)
    encoder.release()
    time.sleep(0.5)  # the five were sent to a kernel that is gone: they are the service's loss
    encoder.requests.clear()
    with kernel(environment) as second:
        second.run(CORPUS)
        ran = second.run(EMBED)
        assert ran.status == "ok"
        assert second.value("len(found), found.vectors.shape").strip() == "1280 (1280, 8)"
    asked = [text for batch in encoder.texts() for text in batch]
    assert not answered.intersection(asked)
    assert len(asked) == len(set(asked)) == 1280 - 7 * 64
    assert "448 from the cache" in ran.badge


def test_ctrl_c_stops_at_once_and_says_what_is_kept(
    encoder: Encoder, environment: dict[str, str]
) -> None:
    encoder.hold_after(6)
    with kernel(environment) as running:
        running.run(CORPUS)
        stopped = running.run(EMBED, interrupt_when=lambda run: "384 of 1,280" in run.all_text)
        encoder.release()
        assert stopped.seconds < 3
        assert stopped.error_lines == [
            "Interrupted: stopped: 384 of 1,280 texts are embedded and kept; run it again to go on"
        ]
        again = running.run(EMBED)
        assert again.status == "ok"
    assert set(encoder.answered.values()) == {1}


def test_the_progress_says_how_far_how_fast_at_what_cost_and_how_long(
    encoder: Encoder, environment: dict[str, str]
) -> None:
    encoder.latency = 0.3
    with kernel(environment) as running:
        running.run(CORPUS)
        ran = running.run(EMBED)
        assert len([each for each in ran.outputs if "data" in each]) == 1, "one line, replaced"
        headless = running.run("%embed --no-cache -o found texts", person=False)
    lines = re.findall(
        r'"text/plain": "([\d,]+ of 1,280 texts \\u00b7 [\d,]+ a second'
        r" \\u00b7 \$[\d.]+ billed so far \\u00b7 [\d.]+ s left)",
        ran.all_text,
    )
    assert lines
    assert ran.badge.startswith(
        "nomic-embed-text · 1,280 texts · 2,560 tokens in · $0.0000512 billed"
    )
    assert "so far" not in headless.all_text, "nobody watches"
    assert headless.badge.startswith("nomic-embed-text · 1,280 texts")


def test_a_search_shows_its_hits_and_a_saved_folder_is_found_again(
    encoder: Encoder, environment: dict[str, str], tmp_path: Path
) -> None:
    with kernel(environment) as running:
        running.run("%embed -o found ['about cats', 'about <b>dogs</b> for $5 to $6']")
        shown = running.run("found.search('about cats', k=2)")
        html = shown.outputs[-1]["data"]["text/html"]
        assert "<b>dogs" not in html
        assert "$5 to $6" not in html, "no formula"
        running.run(f"found.save({str(tmp_path / 'kept')!r})")
    with kernel(environment) as other:
        other.run("from cborg_magics import Embeddings")
        other.run(f"found = Embeddings.load({str(tmp_path / 'kept')!r})")
        assert other.value("found.search('about cats', k=1)[0].label").strip() == "0"
    assert encoder.bare == ["about cats"], "the question was kept, too"
