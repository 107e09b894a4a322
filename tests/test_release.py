"""Is a release whole? What is in its files, what it says of itself, and do its documents hold?"""

from __future__ import annotations

import re
import subprocess
import sys
import tarfile
import threading
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from email import message_from_bytes
from email.message import Message
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
import yaml
from trove_classifiers import classifiers

import cborg_magics
from tests.conftest import KEY
from tests.services.answers import json_answer
from tests.services.encoder import Encoder
from tests.services.faults import FaultServer

ROOT = Path(__file__).parents[1]
PACKAGE = Path(cborg_magics.__file__).parent
DOCUMENTS = ROOT / ".github"
CONTRIBUTING = (DOCUMENTS / "CONTRIBUTING.md").read_text(encoding="utf-8")
CHANGELOG = (DOCUMENTS / "CHANGELOG.md").read_text(encoding="utf-8")
CITATION = yaml.safe_load((DOCUMENTS / "CITATION.cff").read_text(encoding="utf-8"))
PAGES = sorted(DOCUMENTS.glob("*.md"))
VERSION = cborg_magics.__version__
FOLDERS = r"cborg_magics|tests|examples|\.ci|\.github"
MADE = {"__pycache__", ".ipynb_checkpoints"}  # by Python and Jupyter, beside what was written

# -- the files ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Release:
    """The two files that go to PyPI, built as they are for a release."""

    sdist: Path
    wheel: Path

    @property
    def in_wheel(self) -> set[str]:
        with zipfile.ZipFile(self.wheel) as file:
            return set(file.namelist())

    @property
    def in_sdist(self) -> set[str]:
        with tarfile.open(self.sdist) as file:
            return {name.partition("/")[2] for name in file.getnames()}

    @property
    def metadata(self) -> Message:
        with zipfile.ZipFile(self.wheel) as file:
            return message_from_bytes(file.read(f"cborg_magics-{VERSION}.dist-info/METADATA"))


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Release:
    """An sdist of this tree, and the wheel that is made from the sdist alone."""
    if not (ROOT / "cborg_magics").is_dir():
        pytest.skip("the package's source is not here")
    folder = tmp_path_factory.mktemp("dist")
    run("build", "--no-isolation", "--outdir", str(folder), str(ROOT))
    (sdist,), (wheel,) = folder.glob("*.tar.gz"), folder.glob("*.whl")
    return Release(sdist, wheel)


def run(module: str, *arguments: str) -> None:
    command = [sys.executable, "-m", module, *arguments]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr


def written(*folders: str) -> set[str]:
    """The files of some folders of this tree."""
    paths = (path for folder in folders for path in (ROOT / folder).rglob("*") if path.is_file())
    return {path.relative_to(ROOT).as_posix() for path in paths if not MADE & set(path.parts)}


def test_the_files_are_named_for_the_version(release: Release) -> None:
    assert release.sdist.name == f"cborg_magics-{VERSION}.tar.gz"
    assert release.wheel.name == f"cborg_magics-{VERSION}-py3-none-any.whl"


def test_the_wheel_holds_the_package_and_nothing_else(release: Release) -> None:
    about = {name for name in release.in_wheel if name.startswith(f"cborg_magics-{VERSION}.dist-")}
    assert release.in_wheel - about == written("cborg_magics")


def test_the_source_holds_the_tests_and_the_documents(release: Release) -> None:
    folders = ("cborg_magics", "tests", ".ci", ".github")
    found = {name for name in release.in_sdist if name.startswith(tuple(f"{f}/" for f in folders))}
    assert found == written(*folders)
    assert {"README.md", "LICENSE", "pyproject.toml"} <= release.in_sdist


def test_the_source_holds_the_examples(release: Release) -> None:
    # Running notebooks may write beside them; what a reader opens is there all the time.
    read = {name for name in written("examples") if name.endswith((".ipynb", ".md", ".png"))}
    assert len(read) > 5
    assert read <= release.in_sdist


def test_nothing_but_the_known_folders_goes_out(release: Release) -> None:
    folders = {name.partition("/")[0] for name in release.in_sdist if "/" in name}
    assert folders == {"cborg_magics", "tests", "examples", ".ci", ".github"}


def test_pypi_would_take_both_files_and_show_the_description(release: Release) -> None:
    run("twine", "check", "--strict", str(release.sdist), str(release.wheel))
    text = release.metadata.get_payload()
    assert isinstance(text, str)
    assert (ROOT / "README.md").read_text(encoding="utf-8").strip() in text


def test_the_metadata_are_true(release: Release) -> None:
    about = release.metadata
    assert about["Name"] == "cborg_magics"
    assert about["Version"] == VERSION
    assert about["License-Expression"] == "BSD-3-Clause"
    assert f"cborg_magics-{VERSION}.dist-info/licenses/LICENSE" in release.in_wheel
    told = about.get_all("Classifier", [])
    assert set(told) <= classifiers
    pythons = [line.rpartition(" ")[2] for line in told if re.search(r":: 3\.\d+$", line)]
    oldest = min(pythons, key=lambda version: int(version.partition(".")[2]))
    assert about["Requires-Python"] == f">={oldest}"


def test_who_installs_it_gets_none_of_the_tests_libraries(release: Release) -> None:
    needs = [line for line in release.metadata.get_all("Requires-Dist", []) if "extra" not in line]
    names = {re.match(r"[\w.-]+", line)[0] for line in needs}
    assert names == {
        *("ipython", "openai", "pillow", "platformdirs", "pydantic", "tenacity", "tqdm"),
    }


# -- the documents -----------------------------------------------------------------------------


def test_the_changelog_and_the_citation_speak_of_this_version() -> None:
    version, date = re.findall(r"^## (\S+) - (\S+)$", CHANGELOG, re.MULTILINE)[0]
    assert version == VERSION
    assert CITATION["version"] == VERSION
    if date == "Unreleased":
        assert "date-released" not in CITATION
    else:
        assert re.fullmatch(r"\d{4}-\d\d-\d\d", date)
        assert str(CITATION["date-released"]) == date


def test_the_citation_says_what_the_metadata_say(release: Release) -> None:
    about = release.metadata
    assert CITATION["cff-version"] == "1.2.0"
    assert CITATION["title"] == about["Name"]
    assert CITATION["abstract"] == about["Summary"]
    assert CITATION["license"] == about["License-Expression"]
    assert sorted(CITATION["keywords"]) == sorted(about["Keywords"].split(","))
    assert all(set(author) == {"name"} for author in CITATION["authors"])


def test_every_magic_is_in_the_changelog(shell: Any) -> None:
    for name, magic in shell.magics_manager.magics["line"].items():
        if getattr(magic, "__module__", "").startswith("cborg_magics"):
            assert re.search(rf"^#### .*`%{name}`", CHANGELOG, re.MULTILINE), name


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_link_leads_to_a_file(page: Path) -> None:
    for link in re.findall(r"\]\(([^)]+)\)", page.read_text(encoding="utf-8")):
        assert link.startswith("https://") or (page.parent / link).exists(), link


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_file_that_is_named_exists(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for name in re.findall(rf"(?<![\w/.-])((?:{FOLDERS})/[\w./-]*)", text):
        if "NAME" not in name:
            there = PACKAGE.parent if name.startswith("cborg_magics/") else ROOT
            assert (there / name.rstrip(".")).exists(), name


def test_what_takes_a_line_is_where_it_is_said_to_be() -> None:
    rows = re.findall(r"\| `([A-Z]+)` in `([\w/.]+)` \|", CONTRIBUTING)
    assert len(rows) == 5
    for name, file in rows:
        there = PACKAGE.parent if file.startswith("cborg_magics/") else ROOT
        text = (there / file).read_text(encoding="utf-8")
        assert re.search(rf"^{name}(?:: .+)? = [({{]", text, re.MULTILINE), f"{name} in {file}"


def test_a_contributor_begins_with_the_readmes_command() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    command = readme.partition("<!-- command: test -->\n")[2].partition("\n```\n")[0]
    assert command
    assert command in CONTRIBUTING


def chain(heading: str) -> list[tuple[str, str]]:
    """The files and functions in the table below a heading of CONTRIBUTING.md."""
    table = CONTRIBUTING.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    return re.findall(r"^\| `([\w/]+\.py)` \| `(\w+)` \|", table, re.MULTILINE)


def called(do: Callable[[], object]) -> list[tuple[str, str]]:
    """The files and functions of the package in the order of their first calls."""
    seen: dict[tuple[str, str], None] = {}
    here = f"{PACKAGE}/"

    def see(frame: FrameType, event: str, _: object) -> None:
        file = frame.f_code.co_filename
        if event == "call" and file.startswith(here):
            seen.setdefault((file.removeprefix(here), frame.f_code.co_name))

    threading.setprofile(see)
    sys.setprofile(see)
    try:
        do()
    finally:
        sys.setprofile(None)
        threading.setprofile(None)
    return list(seen)


def test_a_cell_becomes_an_answer_as_it_is_told(
    shell: Any, service: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    prices = {"input_cost_per_token": 1e-06, "output_cost_per_token": 1e-06}
    model = {"litellm_params": {"model": "test-model"}, "model_info": prices}
    row = {"model_name": "test-model", **model}
    service.always("/model/info", json_answer({"data": [row]}))
    monkeypatch.setenv("CBORG_BUDGET", "1.00")
    shell.user_ns["text"] = "Something to read."
    told = chain("How a cell becomes an answer")
    seen = called(lambda: shell.run_cell_magic("chat", "-a text", "What is it?"))
    assert told == [each for each in seen if each in told]


def test_a_column_becomes_vectors_as_it_is_told(
    shell: Any, encoder: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LITELLM_API_KEY", KEY)
    monkeypatch.setenv("LITELLM_BASE_URL", encoder.url)
    shell.user_ns["texts"] = ["one", "two"]
    told = chain("How a column becomes vectors")
    seen = called(lambda: shell.run_line_magic("embed", "-o found texts"))
    assert told == [each for each in seen if each in told]
