"""Every block of the README and of the how-to pages runs; every link leads somewhere."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from cborg_magics import policy
from cborg_magics.settings import Settings
from tests import documents
from tests.documents import PAGES, ROOT, Block
from tests.front_ends.kernel import clean_environment

NOTHING = "nothing"
EMBEDDED = "the embedded model"
PROXY = "a LiteLLM proxy"
KINDS = ("cell", "shell", "output", "setup")
MOST_NOT_RUN = 2  # blocks, of all pages
LINK = re.compile(r"\]\(([^)\s]+)\)")


def name(page: Path) -> str:
    return page.stem


def all_blocks() -> list[Block]:
    return [block for page in PAGES for block in documents.blocks(page)]


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_block_runs_from_the_top_to_the_end(
    page: Path, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    to_run = [block for block in documents.blocks(page) if block.runs]
    service = documents.service_of(page)
    assert (service == NOTHING) == (not to_run), "say what the page is tested with"
    if not to_run:
        return
    environment, key = clean_environment(tmp_path), ""
    if service == PROXY:
        proxy = request.getfixturevalue("database_proxy")
        user = proxy.new_user(max_budget=50.0, budget_duration="30d")
        key = proxy.new_key(user_id=user, max_budget=2.0, budget_duration="30d")
        environment |= {"CBORG_API_KEY": key, "CBORG_BASE_URL": proxy.url}
    else:
        assert service == EMBEDDED
    with documents.reader(tmp_path / "notebooks", environment, key) as reader:
        for block in to_run:
            seen = reader.run(block)
            assert seen.error == block.noted("raises"), f"{block}:\n{block.text}\n{seen.text}"


LIES = """
```python
1 + 1
```

```text
3 apples
```

```
%no_such_magic
```

```sh
exit 3
```

```json
{}
```
"""


def test_a_page_that_lies_is_found_out(tmp_path: Path) -> None:
    page = tmp_path / "lies.md"
    page.write_text(LIES, encoding="utf-8")
    true, false, magic, shell, unknown = documents.blocks(page)
    with documents.reader(tmp_path / "notebooks", clean_environment(tmp_path)) as reader:
        assert reader.run(true).error == ""
        assert "apples" in reader.run(false).error
        assert reader.run(magic).error
        assert reader.run(shell).error == "exit code 3"
    assert unknown.kind not in KINDS


def test_nothing_is_left_unrun_in_silence() -> None:
    for block in all_blocks():
        assert block.kind in KINDS or block.noted("not run"), f"{block}: mark it, or make it run"


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_fence_is_a_block(page: Path) -> None:
    fences = re.findall(r"^\s*(?:```|~~~)", page.read_text(encoding="utf-8"), re.MULTILINE)
    found = [block for block in documents.blocks(page) if block.kind != "setup"]
    assert len(fences) == 2 * len(found)


def test_few_blocks_are_not_run_and_each_says_why() -> None:
    not_run = [block for block in all_blocks() if block.noted("not run")]
    assert len(not_run) <= MOST_NOT_RUN, [str(block) for block in not_run]
    assert all(len(block.noted("not run")) > 10 for block in not_run)


def test_a_policy_that_is_shown_is_one_that_would_hold(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(policy, "OWNER", os.getuid())
    tmp_path.chmod(0o755)
    shown = [block for block in all_blocks() if "policy.env" in block.noted("not run")]
    assert shown
    for block in shown:
        file = tmp_path / "policy.env"
        file.write_text(block.text, encoding="utf-8")
        file.chmod(0o644)
        read = policy.read({}, {}, file)
        assert (read.problem, read.notes) == ("", ())
        names = {line.partition("=")[0] for line in block.text.splitlines()}
        assert names <= set(read.values)
        assert Settings.read({}, read).locked >= names


def test_the_commands_in_the_documents_are_run_by_ci() -> None:
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    for block in all_blocks():
        if command := block.noted("command"):
            assert block.page.name == "README.md"
            assert f"readme {command})" in script


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_link_leads_to_a_file_and_a_heading(page: Path) -> None:
    links = [link for link in LINK.findall(page.read_text(encoding="utf-8")) if ":" not in link]
    for link in links:
        file, _, anchor = link.partition("#")
        target = (page.parent / file).resolve() if file else page
        assert target.exists(), f"{page.name}: {link}"
        assert target.is_relative_to(ROOT), f"{page.name}: {link}"
        if anchor:
            assert anchor in anchors(target), f"{page.name}: {link}"


def test_every_how_to_page_is_in_the_readmes_contents() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for page in PAGES[1:]:
        assert f"(examples/how-to/{page.name})" in readme


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub makes of a page's headings."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
