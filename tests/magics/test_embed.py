"""%embed: a column of texts becomes vectors; what goes wrong is one line."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from IPython.core.completer import provisionalcompleter

from cborg_magics.embeddings.embeddings import Embeddings
from cborg_magics.errors import BadOption, BadSetting, BadTexts, CborgError, UnknownModel
from tests.conftest import KEY
from tests.front_ends.kernel import clean_environment
from tests.services.encoder import MODEL, Encoder, vector

Ran = Callable[[str], str]


@pytest.fixture
def service(encoder: Encoder, monkeypatch: pytest.MonkeyPatch) -> Encoder:
    monkeypatch.setenv("LITELLM_API_KEY", KEY)
    monkeypatch.setenv("LITELLM_BASE_URL", encoder.url)
    return encoder


@pytest.fixture
def run(service: Encoder, shell: Any, capsys: pytest.CaptureFixture[str]) -> Ran:
    """Run a cell, and give what it printed. Raises what the cell raises."""

    def cell(text: str) -> str:
        capsys.readouterr()
        shell.run_cell(text).raise_error()
        return capsys.readouterr().out

    return cell


def test_a_column_keeps_its_index(run: Ran, shell: Any) -> None:
    shell.user_ns["df"] = pd.DataFrame({"text": ["a", "b"]}, index=pd.Index(["x", "y"], name="id"))
    out = run('%embed -o found df["text"]')
    found = shell.user_ns["found"]
    assert isinstance(found, Embeddings)
    assert list(found.labels) == ["x", "y"]
    assert found.to_frame().index.name == "id"
    assert np.asarray(found).tolist() == [vector("a"), vector("b")]
    assert re.fullmatch(
        rf"{MODEL} · 2 texts · 2 tokens in · under \$0\.000001 billed · .* s · location unknown\n",
        out,
    )


def test_without_a_variable_it_is_the_cells_value(run: Ran, shell: Any) -> None:
    run('result = %embed ["a", "b"]')
    assert len(shell.user_ns["result"]) == 2
    assert "2 texts × 8 numbers" in run('%embed ["a", "b"]')


@pytest.mark.parametrize(
    ("cell", "texts"),
    [
        ("%%embed -o x\none\n\n  two  \n", ["one", "two"]),
        ("%%embed -o x --paragraphs\none\nand more\n  \ntwo\n", ["one and more", "two"]),
        ('%embed -o x "What is {this} $and %that?"', ["What is {this} $and %that?"]),
        (r"%embed -o x r'\frac{1}{2}'", [r"\frac{1}{2}"]),
        ("%embed -o x (str(n) for n in range(3))", ["0", "1", "2"]),
        ('%embed -o x {"k": "v"}', ["v"]),
        ("%embed -o x -- ['a']", ["a"]),
    ],
)
def test_what_is_embedded(run: Ran, shell: Any, cell: str, texts: list[str]) -> None:
    run(cell)
    assert list(shell.user_ns["x"].texts) == texts


def test_a_folder_of_files(run: Ran, shell: Any, tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "a.txt").write_text("about cats")
    shell.user_ns["folder"] = tmp_path / "notes"
    run("%embed -o x folder")
    assert list(shell.user_ns["x"].labels) == ["a.txt"]


@pytest.mark.parametrize(
    ("cell", "error", "says"),
    [
        ("%embed", BadOption, "nothing to embed"),
        ("%embed txts", BadOption, "Did you mean texts?"),
        ("%embed texts[", BadOption, "no Python expression"),
        ("%embed texts.nothing()", BadOption, "fails: AttributeError"),
        ("%embed ['a', None, '']", BadTexts, "rows?.* 1.*2"),
        ("%embed 5", BadTexts, "int"),
        ("%embed []", BadTexts, ""),
        ("%embed --paragraphs texts", BadOption, "%%embed"),
        ("%%embed texts\na", BadOption, "below the first line"),
        ("%%embed\n \n", BadOption, "no text below"),
        ("%embed -o 1x texts", BadOption, "not a variable's name"),
        ("%embed --timeout never texts", BadOption, "not a number of seconds"),
        ("%embed --querry texts", BadOption, "--query"),
    ],
)
def test_bad_input_is_a_line_and_nothing_is_sent(
    run: Ran, shell: Any, service: Encoder, cell: str, error: type[CborgError], says: str
) -> None:
    shell.user_ns["texts"] = ["a"]
    with pytest.raises(error) as problem:
        run(cell)
    assert re.search(says, str(problem.value))
    assert not service.texts()
    assert shell.user_ns["texts"] == ["a"]


def test_a_failed_run_leaves_the_variable(run: Ran, shell: Any) -> None:
    run("%embed -o x ['a']")
    before = shell.user_ns["x"]
    with pytest.raises(BadTexts):
        run("%embed -o x [None]")
    assert shell.user_ns["x"] is before


def test_skip_empty_keeps_the_labels_of_the_rest(run: Ran, shell: Any) -> None:
    out = run("%embed --skip-empty -o x ['a', None, '', 'd']")
    assert list(shell.user_ns["x"].labels) == [0, 3]
    assert "left out" in out


def test_a_dry_run_sends_nothing_and_tells_the_price(run: Ran, service: Encoder) -> None:
    run("%embed ['one']")
    service.requests.clear()
    out = run("%embed --dry-run ['one', 'three words here', 'three words here']")
    assert "Dry run, nothing was asked: nomic-embed-text" in out
    assert "3 texts (2 different). 1 of them are in the cache." in out
    assert "1 text in 1 request, about 4 tokens (a guess at four bytes each)" in out
    assert "Cost: under $0.000001 estimated." in out
    assert not service.texts()


def test_the_cache_says_what_it_holds_and_can_be_cleared(run: Ran, service: Encoder) -> None:
    assert run("%embed --cache-info") == "The cache is empty.\n"
    run("%embed ['a', 'b']")
    assert re.search(rf"{MODEL} +texts +2 +8 +64 bytes", run("%embed --cache-info"))
    assert run("%embed --cache-clear other").startswith("0 vectors dropped")
    assert run(f"%embed --cache-clear {MODEL}") == f"2 vectors dropped of {MODEL}.\n"
    run("%embed ['a']")
    assert service.answered["a"] == 2


# -- which model ---------------------------------------------------------------------------


def test_the_usual_model_is_found_by_either_of_its_names(run: Ran, service: Encoder) -> None:
    service.models = ["gpt-embedder", "lbl/nomic-embed-text"]
    assert run("%embed ['a']").startswith("lbl/nomic-embed-text ·")


def test_the_setting_names_the_model(
    run: Ran, service: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    service.models = [MODEL, "other-embedder"]
    monkeypatch.setenv("CBORG_EMBED_MODEL", "other-embedder")
    assert run("%embed ['a']").startswith("other-embedder ·")
    assert run(f"%embed -m {MODEL} ['a']").startswith(f"{MODEL} ·")


def test_the_only_model_there_is_will_do_and_of_several_none_is_guessed(
    run: Ran, service: Encoder
) -> None:
    service.models = ["house-embedder"]
    assert "house-embedder" in run("%embed ['a']")
    service.models = ["house-embedder", "guest-embedder"]
    run("%models --refresh")
    with pytest.raises(BadSetting, match="no embedding model is set") as problem:
        run("%embed ['a']")
    assert "house-embedder, guest-embedder" in str(problem.value)


def test_without_a_key_the_embedded_encoder_answers(
    shell: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    shell.run_cell("%embed -o x ['The cat sleeps.', 'Stocks fell.']").raise_error()
    assert "use-multilingual-v3 · 2 texts" in capsys.readouterr().out
    assert shell.user_ns["x"].search("a sleeping animal", k=1)[0].row == 0
    with pytest.raises(UnknownModel, match="has no nomic-embed-text"):
        shell.run_cell("%embed -m nomic-embed-text ['a']").raise_error()


def test_tab_completes_embedding_models_and_options(run: Ran, shell: Any, service: Encoder) -> None:
    service.models = [MODEL, "nomic-embed-code"]
    run("%embed ['a']")
    with provisionalcompleter():
        for line, wanted in (("%embed -m nom", MODEL), ("%embed --pa", "--paragraphs")):
            found = {each.text for each in shell.Completer.completions(line, len(line))}
            assert wanted in found


@pytest.mark.parametrize("ask", ["%embed?", "%embed --help", "%embed -h"])
def test_the_manual(run: Ran, ask: str) -> None:
    out = run(ask)
    assert "--paragraphs" in out
    assert "papers.search(" in out


def test_no_key_and_no_number_of_a_vector_is_shown(run: Ran, shell: Any) -> None:
    out = run("%embed -o x ['a']") + run("x") + run("x.search('a')") + repr(shell.user_ns["x"])
    assert KEY not in out
    assert str(vector("a")[0]) not in out


def test_without_numpy_it_is_one_line_and_all_else_works(encoder: Encoder, tmp_path: Path) -> None:
    code = """
import sys
sys.modules["numpy"] = None
import importlib.util as util
find = util.find_spec
util.find_spec = lambda name, *rest: None if name in ("numpy", "pandas") else find(name, *rest)
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
shell.run_line_magic("load_ext", "cborg_magics")
print(shell.run_cell("%embed ['a']").error_in_exec)
shell.run_cell("%models").raise_error()
"""
    environment = clean_environment(tmp_path, LITELLM_API_KEY=KEY, LITELLM_BASE_URL=encoder.url)
    ran = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60
    )
    assert ran.returncode == 0, ran.stderr
    assert "%embed needs numpy\nInstall it: pip install 'cborg_magics[embed]'" in ran.stdout
    assert not encoder.texts()


def test_without_the_extension_embeddings_have_a_session_of_their_own(
    run: Ran, shell: Any, service: Encoder
) -> None:
    run("%embed -o x ['a', 'b']")
    shell.run_line_magic("unload_ext", "cborg_magics")
    assert shell.user_ns["x"].search("a", k=1)[0].text == "a"
    assert service.bare == ["a"]
    shell.run_line_magic("load_ext", "cborg_magics")
