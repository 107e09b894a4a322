"""How do tests use /etc, /home and accounts without touching the machine's own?

In a mount namespace of their own, where these folders are copies that nobody else sees, and a
process namespace, so that all that was started there ends with it:

    with Machine.made() as machine:
        machine.run("useradd --create-home alice")
        machine.run("id", user="alice")
"""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.services.processes import running, scratch, wait_until

REPOSITORY = Path(__file__).resolve().parents[2]
NEEDED = ("unshare", "nsenter", "setpriv", "useradd")

# The first process there. It writes down its number as this machine counts, then stays.
BEGIN = """
read -r pid rest < /proc/self/stat
{open}
cp -a /etc {folder}/etc
mount --bind {folder}/etc /etc
mount --bind {folder}/home /home
mount -t proc proc /proc
echo "$pid" > {folder}/pid.new
mv {folder}/pid.new {folder}/pid
exec sleep infinity
"""


def lacking() -> str:
    """Why there can be no such machine here; empty if there can."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "users with accounts of their own need Linux and root: sudo, or a container"
    if missing := [name for name in NEEDED if not shutil.which(name)]:
        return f"no {' and '.join(missing)}: apt-get install util-linux passwd"
    alone = ["unshare", "--mount", "--pid", "--fork", "--mount-proc", "true"]
    if subprocess.run(alone, capture_output=True, check=False).returncode:
        return "no mount namespaces here: run the container with --cap-add SYS_ADMIN"
    return ""


@dataclass(frozen=True)
class Machine:
    """A view of this machine with an /etc and a /home of its own.

    `folder` holds both; it is gone in the end, and all that ran there with it.
    """

    folder: Path
    pid: int

    @classmethod
    @contextlib.contextmanager
    def made(cls, *, seen: Sequence[Path] = ()) -> Iterator[Machine]:
        """A machine, while the block lasts. Its users can reach the folders in `seen`, and this
        Python and these tests, even where a folder above them is root's alone."""
        here = (Path(sys.prefix), Path(sys.executable).resolve().parents[1], REPOSITORY)
        with scratch() as folder:
            (folder / "home").mkdir()
            script = folder / "begin"
            text = BEGIN.format(folder=folder, open=_open((*here, *seen), folder / "seen"))
            script.write_text(f"set -eu\n{text}")
            alone = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", script]
            log, pid = folder / "log", folder / "pid"
            with running(alone, log=log, stop=signal.SIGKILL) as process:
                wait_until(pid.exists, process, log, 20)
                yield cls(folder, int(pid.read_text()))

    def command(self, command: str | Sequence[str], user: str | None = None) -> list[str]:
        """A command as it is started from outside, as root or as `user` in the user's home."""
        words = shlex.split(command) if isinstance(command, str) else list(command)
        enter = ["nsenter", f"--target={self.pid}", "--mount", "--pid"]
        if user:
            enter += ["--", "setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups"]
            enter += ["--reset-env"]
        return [*enter, "--", *words]

    def run(
        self,
        command: str | Sequence[str],
        *,
        user: str | None = None,
        text: str = "",
        env: Mapping[str, str] | None = None,
    ) -> str:
        """What a command prints, given `text`. Raises `subprocess.CalledProcessError`."""
        ran = subprocess.run(
            self.command(command, user),
            input=text,
            env=dict(os.environ) | dict(env or {}),
            cwd="/",
            capture_output=True,
            text=True,
            check=False,
        )
        if ran.returncode:
            raise AssertionError(f"{command} ended with {ran.returncode}\n{ran.stderr}")
        return ran.stdout

    def write(self, path: str, text: str, *, owner: str = "root", mode: int = 0o644) -> None:
        """Write a file there, in folders that everybody may enter."""
        folder = str(Path(path).parent)
        if owner == "root":
            self.run(["install", "-d", "-m", "755", folder])
        else:
            self.run(["mkdir", "-p", folder], user=owner)
        self.run(["tee", path], text=text)
        self.run(["chown", f"{owner}:", path])
        self.run(["chmod", f"{mode:o}", path])

    def remove(self, path: str) -> None:
        """Remove a file or a folder there."""
        self.run(["rm", "-rf", path])


def _open(paths: Sequence[Path], staged: Path) -> str:
    """The commands that let everybody reach `paths`: what bars the way is covered by an empty
    folder, and each path is mounted in its old place in it."""
    first, second, third = [], [], []
    done: set[Path] = set()
    for number, path in enumerate(dict.fromkeys(paths)):
        above = [folder for folder in reversed(path.parents) if folder.stat().st_mode & 0o1 == 0]
        if not above or any(path.is_relative_to(other) for other in done):
            continue
        done.add(path)
        aside, there = staged / str(number), shlex.quote(str(path))
        first.append(f"mkdir -p {aside}; mount --rbind {there} {aside}")
        cover = f"mount -t tmpfs -o mode=755 tmpfs {shlex.quote(str(above[0]))}"
        if cover not in second:
            second.append(cover)
        third.append(f"mkdir -p {there}; mount --rbind {aside} {there}")
    return "\n".join([*first, *second, *third])
