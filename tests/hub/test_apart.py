"""Two users of a hub never see each other's ledger, vectors, lists, threads, answers or key."""

from __future__ import annotations

import json
import time
from pathlib import PurePosixPath
from threading import Thread
from typing import TYPE_CHECKING

import pytest

from tests.hub.conftest import KEYS, command
from tests.hub.machine import Machine

if TYPE_CHECKING:
    from tests.hub.hub import Hub, Person

KEPT = "/home/alice/.local/share/cborg_magics"
KEY = "/etc/cborg_magics/keys/alice"
SECRET = "the-diary-of-alice"

# What can this user do with each of these paths? Tried, not asked.
TRY = """
import json, os
done = []
for path in {paths}:
    for mode in ("rb", "ab"):
        try:
            open(path, mode).close()
            done.append((path, mode))
        except PermissionError:
            pass
print(json.dumps(done))
"""

# Connect to every TCP port on which processes of alice listen, as a kernel's client does.
LISTEN = """
import json, pwd, time, zmq
number = pwd.getpwnam("alice").pw_uid
rows = [line.split() for line in open("/proc/net/tcp").read().splitlines()[1:]]
ports = [int(row[1].split(":")[1], 16) for row in rows if row[3] == "0A" and int(row[7]) == number]
context, heard, end = zmq.Context(), b"", time.time() + {seconds}
sockets = [context.socket(zmq.SUB) for _ in ports]
for socket, port in zip(sockets, ports):
    socket.setsockopt(zmq.LINGER, 0)
    socket.setsockopt(zmq.SUBSCRIBE, b"")
    socket.connect(f"tcp://127.0.0.1:{{port}}")
while time.time() < end:
    for socket in sockets:
        while socket.poll(10):
            heard += b"".join(socket.recv_multipart())
context.destroy()
print(json.dumps(heard.decode(errors="replace")))
"""
SECONDS = 2

# A socket like those of a kernel that speaks over TCP.
ALOUD = """
import zmq
aloud = zmq.Context.instance().socket(zmq.PUB)
aloud.bind_to_random_port("tcp://127.0.0.1")
"""


@pytest.fixture(scope="module")
def kept(hub: Hub, machine: Machine) -> list[str]:
    """The files that alice has after she has asked, embedded, looked at models and at spending."""
    with hub.person("alice").kernel() as kernel:
        for cell in (
            f"%chat -t diary {SECRET}",
            f"%embed -o notes -m nomic-embed-text ['{SECRET}']",
            "%models --refresh",
            "%spend",
        ):
            run = kernel.run(cell)
            assert run.status == "ok", run.error_lines
    return machine.run(["find", KEPT, "-type", "f"]).split()


def test_no_file_of_hers_opens_for_another(
    kept: list[str], alice: Person, bob: Person, machine: Machine
) -> None:
    names = {PurePosixPath(path).name for path in kept}
    assert {"ledger.sqlite", "vectors.sqlite"} < names
    assert any(name.startswith("cborg-") for name in names), "the list of models"
    for path in [*kept, KEY]:
        mode = machine.run(["stat", "-c", "%a %U", path]).strip()
        assert mode in ("600 alice", "400 alice"), path
    with bob.kernel() as kernel:
        tried = kernel.run(TRY.format(paths=[*kept, KEY]))
    assert tried.status == "ok", tried.error_lines
    assert json.loads(tried.outputs[0]["text"]) == []
    with alice.kernel() as kernel:
        tried = kernel.run(TRY.format(paths=kept))
    assert len(json.loads(tried.outputs[0]["text"])) == 2 * len(kept), "but for her they do"


def test_with_closed_homes_nobody_reads_her_questions(
    kept: list[str], bob: Person, machine: Machine
) -> None:
    """IPython keeps each cell in a file that everybody may read; so the README closes homes."""
    history = "/home/alice/.ipython/profile_default/history.sqlite"
    machine.run(["sh", "-euc", command("homes")])
    try:
        machine.run(["useradd", "--create-home", "dora"])
        with bob.kernel() as kernel:
            assert json.loads(kernel.run(TRY.format(paths=[history])).outputs[0]["text"]) == []
        assert machine.run(["stat", "-c", "%a", "/home/dora"]) == "700\n"
    finally:
        machine.run(["sh", "-c", "chmod 755 /home/*"])


def test_no_magic_of_another_knows_of_her(kept: list[str], bob: Person) -> None:
    with bob.kernel() as kernel:
        runs = [
            kernel.run(cell)
            for cell in ("%chat --threads", "%spend --by thread", "%embed --cache-info")
        ]
        assert "there is no thread 'diary'" in kernel.run("%chat --show diary").all_text
    for run in runs:
        assert run.status == "ok", run.error_lines
        for hers in ("diary", "nomic", KEYS["alice"]):
            assert hers not in run.all_text


def test_her_ledger_cannot_be_named_as_ones_own(kept: list[str], bob: Person) -> None:
    with bob.kernel() as kernel:
        run = kernel.run(f"import os; os.environ['CBORG_HOME'] = '{KEPT}'\n%spend")
    assert "CBORG_HOME is locked by an administrator; the change is ignored." in run.all_text
    assert "Permission" not in run.all_text


@pytest.mark.parametrize("path", ["/user/alice/api/contents", "/user/alice/api/kernels"])
def test_her_server_does_not_answer_another(path: str, alice: Person, bob: Person) -> None:
    assert alice.ask("GET", path).ok
    assert bob.ask("GET", path).status_code in (403, 404)


def test_the_hub_tells_another_nothing_of_her(alice: Person, bob: Person) -> None:
    assert alice.ask("GET", "/hub/api/users/alice").ok
    assert bob.ask("GET", "/hub/api/users/alice").status_code in (403, 404)


def test_nobody_hears_her_kernel(alice: Person, bob: Person) -> None:
    """Outputs go from the kernel to her server: over sockets that are files of her own."""
    with alice.kernel() as hers, bob.kernel() as his:
        hers.run(ALOUD)

        def speak() -> None:
            for _ in range(4 * SECONDS):
                hers.run(f"aloud.send(b'to everybody'); print('{SECRET}')")
                time.sleep(0.25)

        speaking = Thread(target=speak)
        speaking.start()
        run = his.run(LISTEN.format(seconds=SECONDS))
        speaking.join()
    heard = json.loads(run.outputs[0]["text"])
    assert "to everybody" in heard, "he listens well"
    assert SECRET not in heard
