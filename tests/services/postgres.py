"""How does a test get a throw-away PostgreSQL?

It listens on the loopback only, trusts everybody, writes nothing to disk that must last, and is
gone when the block ends.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
from pathlib import Path

from tests.services.processes import as_user, free_port, running, wait_until

TOOLS = ("initdb", "postgres", "psql", "pg_isready", "pg_dump")
OWNER = "litellm"  # the superuser of the throw-away server
SPEED = ("fsync=off", "synchronous_commit=off", "full_page_writes=off", "autovacuum=off")


def tool(name: str) -> str | None:
    """Find one of PostgreSQL's programs; Debian keeps most of them out of PATH."""
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    places = [*map(str, debian), os.environ.get("PATH", os.defpath), "/usr/local/bin"]
    return shutil.which(name, path=os.pathsep.join(places))


def available() -> bool:
    """Tell whether a PostgreSQL can be started here."""
    return all(tool(name) for name in TOOLS) and (os.getuid() != 0 or _known("postgres"))


def _known(user: str) -> bool:
    with contextlib.suppress(KeyError):
        return bool(pwd.getpwnam(user))
    return False


class Postgres:
    """A PostgreSQL that lives in a folder while the block lasts."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "postgres"
        self.log = folder / "postgres.log"
        self.port = free_port()
        # PostgreSQL refuses to run as root.
        self._user = "postgres" if os.getuid() == 0 else None
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Postgres:
        with contextlib.ExitStack() as stack:
            self._create()
            server = stack.enter_context(
                running(
                    self._command(),
                    log=self.log,
                    cwd=self.folder,
                    user=self._user,
                    stop=signal.SIGINT,  # its "fast" end: it does not wait for the clients
                )
            )
            wait_until(self._ready, server, self.log, seconds=30)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def url(self, database: str) -> str:
        """Give the address of a database."""
        return f"postgresql://{OWNER}@127.0.0.1:{self.port}/{database}"

    def create(self, database: str, script: str) -> None:
        """Create a database and run a script in it."""
        self._run("psql", "--quiet", "--command", f"create database {database}", "postgres")
        self._run("psql", "--quiet", "--set=ON_ERROR_STOP=1", database, script=script)

    def schema(self, database: str) -> str:
        """Give the SQL that makes a database like this one."""
        return self._run("pg_dump", "--schema-only", database)

    def _create(self) -> None:
        self.folder.mkdir()
        if self._user:
            shutil.chown(self.folder, self._user)
        options = ["--auth=trust", "--no-sync", "--encoding=UTF8", f"--username={OWNER}"]
        subprocess.run(
            [str(tool("initdb")), *options, "--pgdata", str(self.folder / "data")],
            check=True,
            stdout=subprocess.DEVNULL,
            cwd=self.folder,
            **as_user(self._user),
        )

    def _command(self) -> list[str]:
        # An empty socket folder: only the loopback port, no file that could be in the way.
        settings = ["listen_addresses=127.0.0.1", "unix_socket_directories=", *SPEED]
        options = [part for setting in settings for part in ("-c", setting)]
        return [str(tool("postgres")), "-D", "data", "-p", str(self.port), *options]

    def _ready(self) -> bool:
        command = [str(tool("pg_isready")), "--quiet", *self._address()]
        return subprocess.run(command, check=False).returncode == 0

    def _address(self) -> list[str]:
        return ["--host=127.0.0.1", f"--port={self.port}", f"--username={OWNER}"]

    def _run(self, name: str, *arguments: str, script: str = "") -> str:
        done = subprocess.run(
            [str(tool(name)), *self._address(), *arguments],
            input=script,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"{name} failed:\n{done.stderr[-2000:]}")
        return done.stdout
