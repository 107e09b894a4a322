"""What do the tests of a hub share? One hub, installed as its README says, with three people.

alice has a key, bob too, and he teaches; carol has none. The service stands on the loopback.
"""

from __future__ import annotations

import compileall
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import cborg_magics
from tests.hub.machine import REPOSITORY, Machine, lacking
from tests.services.answers import chat_stream, json_answer, usage
from tests.services.build import Build
from tests.services.faults import FaultServer

if TYPE_CHECKING:
    from tests.hub.hub import Hub, Person

EXAMPLE = REPOSITORY / "examples" / "hub"
PROXY = {"configurable-http-proxy": "5.3.0"}
NO_NEWS = '{"disabledExtensions": {"@jupyterlab/apputils-extension:announcements": true}}'
PEOPLE = ("alice", "bob", "carol")
KEYS = {"alice": "sk-alice-7d21c05be9", "bob": "sk-bob-93f4a8e610"}  # no real ones
PRICES = {"input_cost_per_token": 3e-06, "output_cost_per_token": 1.5e-05}
MODELS = {
    "lbl/cborg-chat": PRICES | {"max_output_tokens": 8192},
    "nomic-embed-text": {"mode": "embedding", "input_cost_per_token": 1e-07},
    "openai/gpt-5": PRICES,
}


@pytest.fixture(scope="session")
def proxy_program() -> Path:
    """The proxy that stands before a hub, from npm, in the folder of the tests' other servers."""
    if not (shutil.which("node") and shutil.which("npm")):
        pytest.skip("a hub's proxy needs node and npm: apt-get install nodejs npm")
    folder = Build().folder / "hub"
    program = folder / "node_modules" / ".bin" / "configurable-http-proxy"
    recipe = json.dumps({"name": "hub", "private": True, "dependencies": PROXY})
    package = folder / "package.json"
    if not program.exists() or package.read_text() != recipe:
        folder.mkdir(parents=True, exist_ok=True)
        package.write_text(recipe)
        quiet = ["--no-audit", "--no-fund", "--no-package-lock", "--loglevel=error"]
        ran = subprocess.run(
            ["npm", "install", "--ignore-scripts", *quiet],
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
        )
        if ran.returncode:
            package.unlink()
            pytest.skip(f"npm cannot install configurable-http-proxy: {ran.stderr[-500:]}")
    return program


@pytest.fixture(scope="session")
def machine(proxy_program: Path) -> Iterator[Machine]:
    """A machine with an /etc and a /home of its own."""
    if why := lacking():
        pytest.skip(why)
    with Machine.made(seen=[proxy_program.parents[2]]) as made:
        yield made


@pytest.fixture(scope="session")
def asked() -> Iterator[FaultServer]:
    """The service, which remembers what it was asked, and with which key."""
    with FaultServer() as server:
        rows = [
            {"model_name": name, "litellm_params": {"model": name}, "model_info": info}
            for name, info in MODELS.items()
        ]
        server.always("/model/info", json_answer({"data": rows}))
        server.always(
            "/chat/completions", chat_stream("Good ", "day.", usage=usage(100, 100))
        )  # $0.0018
        yield server


@pytest.fixture(scope="session")
def installed(machine: Machine, asked: FaultServer) -> None:
    """The example's files and the people's keys, put in their places by the README's commands."""
    # As pip does it: users cannot write bytecode there.
    compileall.compile_dir(Path(cborg_magics.__file__).parent, quiet=1)
    for name in PEOPLE:
        # Others may look into the home, as on many machines: what is private must be so by itself.
        machine.run(["useradd", "--create-home", name])
        machine.run(["chmod", "755", f"/home/{name}"])
    machine.run(["sh", "-euc", f"cd {EXAMPLE}\n{command('install')}"])
    for name, key in KEYS.items():
        machine.run(["sh", "-euc", command("key").replace("alice", name)], text=key)
    machine.write("/etc/jupyter/labconfig/page_config.json", NO_NEWS)
    # The service of the tests stands elsewhere; all other lines are as in the example.
    policy = (EXAMPLE / "policy.env").read_text()
    assert policy.count("https://api.cborg.lbl.gov") == 1
    machine.write(
        "/etc/cborg_magics/policy.env", policy.replace("https://api.cborg.lbl.gov", asked.url)
    )


def command(name: str) -> str:
    """A command of the example's README: the code block after its marker."""
    text = (EXAMPLE / "README.md").read_text()
    _, found, rest = text.partition(f"<!-- command: {name} -->\n```sh\n")
    assert found, f"the README of the example has no command {name}"
    return rest.partition("```")[0]


@pytest.fixture(scope="session")
def hub(machine: Machine, installed: None, proxy_program: Path) -> Iterator[Hub]:
    """A hub whose three people have logged in, each with a server under an account of their own."""
    pytest.importorskip("jupyterhub", reason="no JupyterHub: pip install 'cborg_magics[test]'")
    from tests.hub.hub import hub  # needs what comes with JupyterHub

    with hub(machine, proxy_program, {"teachers": {"users": ["bob"]}}) as running:
        with ThreadPoolExecutor() as pool:
            for person in pool.map(running.person, PEOPLE):
                person.wait()
        yield running


@pytest.fixture
def alice(hub: Hub) -> Person:
    """She has a key."""
    return hub.person("alice")


@pytest.fixture
def bob(hub: Hub) -> Person:
    """He has a key, and is one of the teachers."""
    return hub.person("bob")


@pytest.fixture
def carol(hub: Hub) -> Person:
    """She has no key."""
    return hub.person("carol")


@pytest.fixture(scope="session")
def chromium() -> str:
    """The path of a Chromium; without one, or without playwright, the test is skipped."""
    pytest.importorskip("playwright", reason="no playwright: pip install 'cborg_magics[test]'")
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if path := shutil.which(name):
            return path
    pytest.skip("no browser: apt-get install chromium")


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the screenshots go: a temporary folder, or the one that CBORG_TEST_PICTURES names."""
    named = os.environ.get("CBORG_TEST_PICTURES")
    folder = Path(named) if named else tmp_path_factory.mktemp("pictures")
    folder.mkdir(parents=True, exist_ok=True)
    return folder
