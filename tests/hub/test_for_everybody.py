"""Every user of a hub has the magics, whatever stands in their own files, and a kernel always."""

from __future__ import annotations

import json
import sys
import sysconfig
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.hub.conftest import KEYS
from tests.hub.machine import Machine
from tests.services.faults import FaultServer

if TYPE_CHECKING:
    from tests.hub.hub import HubKernel, Person

Place = Callable[[str, str], None]
HOME = "/home/alice"
PROFILE = ".ipython/profile_default"
KERNEL = f"{PROFILE}/ipython_kernel_config.py"
LAUNCH = (sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}")
HAS_CHAT = "'chat' in get_ipython().magics_manager.magics['cell']"
HAS_OWN = "'IPython.extensions.autoreload' in get_ipython().extension_manager.loaded"


@pytest.fixture
def place(machine: Machine) -> Iterator[Place]:
    """Puts a file into alice's home, until the test ends."""
    with ExitStack() as stack:

        def put(path: str, text: str) -> None:
            stack.callback(machine.remove, f"{HOME}/{path}")
            machine.write(f"{HOME}/{path}", text, owner="alice")

        yield put


def spec(place: Place, *argv: str, **environment: str) -> str:
    """A kernelspec that alice has made for herself."""
    content = {"argv": list(argv), "display_name": "Mine", "language": "python"}
    own = content | {"env": environment}
    place(".local/share/jupyter/kernels/mine/kernel.json", json.dumps(own))
    return "mine"


def test_every_user_asks_with_a_key_of_their_own(
    alice: Person, bob: Person, asked: FaultServer
) -> None:
    for person in (alice, bob):
        with person.kernel() as kernel:
            run = kernel.run("%%chat --once\nGood morning")
        assert run.status == "ok", run.error_lines
        assert "Good day." in run.all_text
        assert run.badge.startswith("lbl/cborg-chat")
        request = asked.requests_to("/chat/completions")[-1]
        assert request.headers["authorization"] == f"Bearer {KEYS[person.name]}"


def test_a_key_is_a_file_that_its_user_alone_can_read(machine: Machine) -> None:
    found = machine.run(["stat", "-c", "%a %U", "/etc/cborg_magics/keys/alice"])
    assert found == "400 alice\n"


@pytest.mark.parametrize(
    ("file", "text"),
    [
        (KERNEL, "c.InteractiveShellApp.extra_extensions = ['autoreload']"),
        (KERNEL, "c.InteractiveShellApp.extra_extensions.append('autoreload')"),
        (KERNEL, "c.IPKernelApp.extra_extensions = ['autoreload']"),
        (KERNEL, "c.IPKernelApp.extra_extensions.append('autoreload')"),
        (KERNEL, "c.InteractiveShellApp.extensions = ['autoreload']"),
        (f"{PROFILE}/ipython_config.py", "c.InteractiveShellApp.extensions = ['autoreload']"),
        (
            f"{PROFILE}/ipython_kernel_config.json",
            '{"InteractiveShellApp": {"extra_extensions": ["autoreload"]}}',
        ),
    ],
)
def test_what_a_user_loads_stands_beside_it(
    file: str, text: str, alice: Person, place: Place
) -> None:
    place(file, text if file.endswith("json") else f"c = get_config()\n{text}\n")
    with alice.kernel() as kernel:
        assert kernel.value(HAS_CHAT) == "True"
        assert kernel.value(HAS_OWN) == "True"


def test_a_kernelspec_with_an_extension_of_its_own_has_both(alice: Person, place: Place) -> None:
    with alice.kernel(spec(place, *LAUNCH, "--ext", "autoreload")) as kernel:
        assert kernel.value(HAS_CHAT) == "True"
        assert kernel.value(HAS_OWN) == "True"


@pytest.mark.parametrize(
    ("file", "text"),
    [
        (KERNEL, "c.InteractiveShellApp(extra = \n"),
        (KERNEL, "c = get_config()\nc.IPKernelApp.exec_lines = ['1/0']\n"),
        (f"{PROFILE}/startup/00-mine.py", "1/0\n"),
    ],
)
def test_a_mistake_in_a_users_own_files_does_not_drop_it(
    file: str, text: str, alice: Person, place: Place
) -> None:
    place(file, text)
    with alice.kernel() as kernel:
        assert kernel.value(HAS_CHAT) == "True"


def test_it_leaves_no_name_behind(alice: Person) -> None:
    with alice.kernel() as kernel:
        names = kernel.run("%who").outputs
        assert "empty" in names[0]["text"]
        assert kernel.value("[name for name in dir() if 'cborg' in name]") == "[]"


def works(kernel: HubKernel) -> bool:
    """Can a user work, apart from the magics; and has a startup file of theirs run?"""
    return kernel.value("6 * 7") == "42" and kernel.value("mine") == "here"


def test_without_the_package_a_kernel_starts(alice: Person, place: Place) -> None:
    # The bare Python below this environment, with its packages but for those that are linked.
    python = str(Path(sys.executable).resolve())
    place(f"{PROFILE}/startup/00-mine.py", "mine = 'here'\n")
    name = spec(place, python, *LAUNCH[1:], PYTHONPATH=sysconfig.get_path("purelib"))
    with alice.kernel(name) as kernel:
        assert kernel.value("__import__('importlib').util.find_spec('cborg_magics')") == "None"
        assert works(kernel)


@pytest.mark.parametrize("content", ["def (:", "import no_such_library"])
def test_with_a_broken_package_a_kernel_starts(content: str, alice: Person, place: Place) -> None:
    place(f"{PROFILE}/startup/00-mine.py", "mine = 'here'\n")
    place(".broken/cborg_magics/__init__.py", content)
    with alice.kernel(spec(place, *LAUNCH, PYTHONPATH=f"{HOME}/.broken")) as kernel:
        assert works(kernel)
        assert kernel.value(HAS_CHAT) == "False"


def test_without_a_key_a_kernel_starts_and_a_key_that_comes_later_is_found(
    carol: Person, machine: Machine, asked: FaultServer
) -> None:
    key, question = "/etc/cborg_magics/keys/carol", "%chat --once Good morning"
    with carol.kernel() as kernel:
        assert kernel.value("6 * 7") == "42"
        run = kernel.run(question)
        assert f"CBORG_API_KEY_FILE: cannot read {key} (No such file" in run.error_lines[0]
        assert len(run.error_lines) <= 2
        machine.write(key, "sk-carol-55e0\n", owner="carol", mode=0o400)
        try:
            assert kernel.run(question).status == "ok"
        finally:
            machine.remove(key)
    request = asked.requests_to("/chat/completions")[-1]
    assert request.headers["authorization"] == "Bearer sk-carol-55e0"
