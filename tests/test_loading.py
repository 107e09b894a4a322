"""Loading the extension costs nothing and cannot fail."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

HEAVY = ("openai", "httpx", "httpx2", "ipywidgets", "tenacity", "numpy", "pandas", "PIL")
HEAVY += ("matplotlib", "xllamacpp", "platformdirs", "cborg_magics.session")

LOAD = """
import json, sys
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
before = set(sys.modules)
shell.run_line_magic("load_ext", "cborg_magics")
new = {name for name in set(sys.modules) - before}
print(json.dumps(sorted(new)))
"""


def python(code: str, **environment: str) -> str:
    """Run code in a fresh interpreter; its standard output."""
    ran = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return ran.stdout


def test_loading_imports_nothing_heavy() -> None:
    new = json.loads(python(LOAD).splitlines()[-1])
    assert "cborg_magics.magics.chat" in new
    assert [name for name in new if name in HEAVY] == []


@pytest.mark.parametrize(
    "environment",
    [
        {"CBORG_BASE_URL": "not an address", "CBORG_TEMPERATURE": "hot"},
        {"CBORG_API_KEY_FILE": "/no/such/file", "CBORG_PROVIDER": "nobody"},
        {"CBORG_HOME": "/proc/nowhere", "CBORG_TIMEOUT": "-1"},
    ],
)
def test_loading_never_fails_whatever_the_environment_holds(environment: dict[str, str]) -> None:
    assert "cborg_magics.magics.chat" in python(LOAD, **environment)


def test_unloading_leaves_the_shell_as_it_was(shell: Any) -> None:
    shell.run_line_magic("unload_ext", "cborg_magics")
    assert "chat" not in shell.magics_manager.magics["line"]
    assert "chat" not in shell.magics_manager.magics["cell"]
    assert "pinfo" in shell.transform_cell("%chat what is it?\n")
    shell.run_line_magic("load_ext", "cborg_magics")
    assert "chat" in shell.magics_manager.magics["cell"]


def test_reloading_adds_nothing_twice(shell: Any) -> None:
    matchers = len(shell.Completer.custom_matchers)
    transformers = len(shell.input_transformer_manager.token_transformers)
    shell.run_line_magic("reload_ext", "cborg_magics")
    shell.run_line_magic("reload_ext", "cborg_magics")
    assert len(shell.Completer.custom_matchers) == matchers
    assert len(shell.input_transformer_manager.token_transformers) == transformers


@pytest.mark.parametrize("setting", ["extensions", "extra_extensions"])
def test_an_administrator_can_load_it_for_everybody(setting: str, tmp_path: Path) -> None:
    profile = tmp_path / "ipython" / "profile_default"
    profile.mkdir(parents=True)
    line = f"c.InteractiveShellApp.{setting} = ['cborg_magics']\n"
    (profile / "ipython_config.py").write_text("c = get_config()\n" + line)
    script = tmp_path / "cell.py"
    script.write_text("print('chat' in get_ipython().magics_manager.magics['cell'])")
    ran = subprocess.run(
        [sys.executable, "-m", "IPython", "--ipython-dir", str(tmp_path / "ipython"), str(script)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "True" in ran.stdout


def test_it_can_be_loaded_at_the_first_use(tmp_path: Path) -> None:
    profile = tmp_path / "ipython" / "profile_default"
    profile.mkdir(parents=True)
    line = "c.MagicsManager.lazy_magics = {'chat': 'cborg_magics'}\n"
    (profile / "ipython_config.py").write_text("c = get_config()\n" + line)
    script = tmp_path / "cell.ipy"
    script.write_text("%chat --no-such-option hi\n")
    ran = subprocess.run(
        [sys.executable, "-m", "IPython", "--ipython-dir", str(tmp_path / "ipython"), str(script)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "BadOption: %chat has no option --no-such-option." in ran.stdout + ran.stderr


def test_plain_python_needs_no_shell() -> None:
    code = "from cborg_magics import Session; print(Session.from_environment().model)"
    assert python(code).strip() == "smollm2-135m"
