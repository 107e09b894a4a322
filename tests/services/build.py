"""How does one get a real LiteLLM proxy for the tests?

    python -m tests.services.build [FOLDER] [--database]

It goes into an environment of its own, because LiteLLM needs an older openai than the tests do.
The database parts are built when node, npm and PostgreSQL are there: Prisma's own engines come
from a server that is not reachable everywhere, so the same engine is taken from npm, as WASM, and
`engine.js` makes it look like the program that LiteLLM starts.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import platformdirs

from tests.services.postgres import Postgres, available
from tests.services.processes import scratch

HERE = Path(__file__).parent
VERSION = "1.106.2"
PROXY_PACKAGES = (f"litellm[proxy]=={VERSION}",)
DATABASE_PACKAGES = ("prisma==0.15.0", "setuptools")  # prisma's helpers import setuptools
NODE_PACKAGES = {
    "@prisma/adapter-pg": "6.19.0",
    "@prisma/client": "6.19.0",
    "graphql": "16.15.0",
    "pg": "8.23.1",
}
# The engine that prisma 0.15.0 asks for: it compares this with what `--version` prints.
ENGINE = "393aa359c9ad4a4bb28630fb5613f9c281cde053"
# Raise this when the steps below change in a way that the lists above do not show.
STEPS = 1
NEEDED = "node, npm and PostgreSQL"
# Settings of the outer Python that must not reach the inner one.
UNWANTED = ("PYTHONDONTWRITEBYTECODE", "PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")

# prisma generates 10 MB of TypedDicts that nobody reads at run time, but that cost seconds at
# every start of the proxy.
TYPED_DICT = "from typing_extensions import TypedDict, Literal\n"
CHEAP_TYPED_DICT = """\
from typing_extensions import Literal
if TYPE_CHECKING:
    from typing_extensions import TypedDict
else:
    class _Anything(dict):
        def __init_subclass__(cls, **_): pass
    class TypedDict(_Anything):
        def __new__(cls, *args, **named):
            if args and isinstance(args[0], str):
                return _Anything
            return super().__new__(cls, *args, **named)
"""


class Build:
    """The folder that holds the proxy: what is in it, and how it gets there."""

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = (folder or default_folder()).absolute()
        self.venv = self.folder / "venv"
        self.python = self.venv / "bin" / "python"
        self.database = self.folder / "database"
        self.query_engine = self.database / "query-engine"
        self.schema = self.database / "schema.sql"
        # Each holds the hash of the recipe it was built by.
        self._proxy_stamp = self.folder / "recipe"
        self._database_stamp = self.database / "recipe"

    def has_proxy(self) -> bool:
        """Tell whether the proxy is built, by this recipe."""
        return self.python.exists() and _stamped(self._proxy_stamp, _proxy_recipe())

    def has_database(self) -> bool:
        """Tell whether the database parts are built too, and PostgreSQL is there to run them."""
        built = self.has_proxy() and _stamped(self._database_stamp, _database_recipe())
        return built and database_possible()

    def make_proxy(self) -> None:
        """Install LiteLLM into its own environment."""
        # Not the folder itself: whoever named it may keep other things there.
        for old in (self.venv, self.database):
            shutil.rmtree(old, ignore_errors=True)
        self.folder.mkdir(parents=True, exist_ok=True)
        say(f"pip: {PROXY_PACKAGES[0]}")
        _run([sys.executable, "-m", "venv", self.venv])
        self._pip(PROXY_PACKAGES)
        self._compile("litellm")
        self._proxy_stamp.write_text(_proxy_recipe())

    def make_database(self) -> None:
        """Add what LiteLLM needs to keep users, keys and spend."""
        shutil.rmtree(self.database, ignore_errors=True)
        self.database.mkdir()
        say("npm: Prisma's query engine")
        self._install_engine()
        say("prisma: the Python client")
        self._pip(DATABASE_PACKAGES)
        self._generate_client()
        self._compile("prisma")
        say("PostgreSQL: the tables, from LiteLLM's own migrations")
        self.schema.write_text(self._migrate())
        self._database_stamp.write_text(_database_recipe())

    def environment(self) -> dict[str, str]:
        """Give what prisma must know to find the engine that stands in for its own."""
        # bin/prisma, a stub, comes first: at each start LiteLLM asks the real one, at the cost of
        # seconds, how the tables differ from the schema. They do not.
        path = [str(self.database / "bin"), str(self.venv / "bin"), os.environ.get("PATH", "")]
        return {
            "PATH": os.pathsep.join(path),
            "PRISMA_QUERY_ENGINE_BINARY": str(self.query_engine),
            "PRISMA_SCHEMA_ENGINE_BINARY": str(self.database / "schema-engine"),
            "PRISMA_HOME_DIR": str(self.database / "home"),
            "CHECKPOINT_DISABLE": "1",  # no question after newer versions of prisma
        }

    def _pip(self, packages: Sequence[str]) -> None:
        _run([self.python, "-m", "pip", "install", "--quiet", *packages])

    def _compile(self, package: str) -> None:
        # Where PYTHONDONTWRITEBYTECODE is set every start would compile everything again.
        _run([self.python, "-m", "compileall", "-q", self._site() / package], check=False)

    def _site(self) -> Path:
        return next((self.venv / "lib").glob("python*/site-packages"))

    def _install_engine(self) -> None:
        shutil.copy(HERE / "engine.js", self.database)
        package = {"name": "engine", "private": True, "dependencies": NODE_PACKAGES}
        (self.database / "package.json").write_text(json.dumps(package))
        quiet = ["--no-audit", "--no-fund", "--no-package-lock", "--loglevel=error"]
        _run(["npm", "install", "--ignore-scripts", *quiet], cwd=self.database)
        start = f'exec node "{self.database / "engine.js"}" "$@"'
        _script(self.query_engine, f"query-engine {ENGINE}", start)
        _script(self.database / "schema-engine", f"schema-engine-cli {ENGINE}", "exit 1")
        (self.database / "bin").mkdir()
        _script(self.database / "bin" / "prisma", "", "exit 0")

    def _generate_client(self) -> None:
        schema = self._site() / "litellm_proxy_extras" / "schema.prisma"
        prisma = self.venv / "bin" / "prisma"
        _run([prisma, "generate", "--schema", schema], self.environment(), cwd=self.database)
        types = self._site() / "prisma" / "types.py"
        source = types.read_text()
        if source.count(TYPED_DICT) != 1:
            raise SystemExit(f"{types} is not as expected")
        types.write_text(source.replace(TYPED_DICT, CHEAP_TYPED_DICT))

    def _migrate(self) -> str:
        folder = self._site() / "litellm_proxy_extras" / "migrations"
        steps = [path.read_text() for path in sorted(folder.glob("2*/migration.sql"))]
        with scratch() as place, Postgres(place) as postgres:
            postgres.create("build", "\n;\n".join(steps))
            return postgres.schema("build")


def default_folder() -> Path:
    """Give the folder the proxy is built in when none is named."""
    named = os.environ.get("CBORG_TEST_PROXY")
    cache = platformdirs.user_cache_path("cborg_magics-tests")
    return Path(named) if named else cache / f"litellm-{VERSION}"


def database_possible() -> bool:
    """Tell whether all that the database parts need from outside is installed."""
    return all(map(shutil.which, ("node", "npm"))) and available()


def say(text: str) -> None:
    """Print one line of what happens."""
    print(f"[{time.strftime('%H:%M:%S')}] {text}", flush=True)


def _proxy_recipe() -> str:
    return _hash(STEPS, PROXY_PACKAGES)


def _database_recipe() -> str:
    engine = (HERE / "engine.js").read_text()
    return _hash(_proxy_recipe(), DATABASE_PACKAGES, NODE_PACKAGES, engine, CHEAP_TYPED_DICT)


def _hash(*parts: object) -> str:
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def _stamped(stamp: Path, recipe: str) -> bool:
    return stamp.exists() and stamp.read_text() == recipe


def _script(path: Path, version: str, otherwise: str) -> None:
    answer = f'if [ "$1" = "--version" ]; then echo "{version}"; exit 0; fi'
    path.write_text(f"#!/bin/sh\n{answer}\n{otherwise}\n")
    path.chmod(0o755)


def _run(
    command: Sequence[str | Path],
    env: Mapping[str, str] | None = None,
    *,
    cwd: Path | None = None,
    check: bool = True,
) -> None:
    outer = {name: value for name, value in os.environ.items() if name not in UNWANTED}
    done = subprocess.run(
        list(map(str, command)),
        env={**outer, **(env or {})},
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if check and done.returncode:
        raise SystemExit(f"{done.stdout[-4000:]}\n{command[0]} failed ({done.returncode})")


def main(arguments: Sequence[str] | None = None) -> None:
    """Build what is missing."""
    parser = argparse.ArgumentParser(description="Build the LiteLLM proxy that the tests use.")
    parser.add_argument("folder", nargs="?", type=Path, help="where (default: a cache folder)")
    parser.add_argument("--database", action="store_true", help="fail without the database parts")
    chosen = parser.parse_args(arguments)
    build = Build(chosen.folder)
    if not build.has_proxy():
        build.make_proxy()
    if not database_possible():
        say(f"no database parts: they need {NEEDED}")
        sys.exit(1 if chosen.database else 0)
    if not build.has_database():
        build.make_database()
    say(f"built in {build.folder}")


if __name__ == "__main__":
    main()
