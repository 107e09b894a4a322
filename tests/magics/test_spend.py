"""%spend: the ledger's sums and the service's own figures, which agree; and every option."""

from __future__ import annotations

import csv
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timezone
from decimal import Context, Decimal
from pathlib import Path
from typing import Any

import pytest

from cborg_magics.errors import BadOption, BudgetSpent, CapReached, CborgError
from cborg_magics.exchange import Cost, Source
from cborg_magics.ledger import Ledger
from cborg_magics.magics.spend import HEADER, WAYS
from cborg_magics.session import KERNEL
from cborg_magics.spending import WAYS as KNOWN_WAYS
from tests.services.answers import chat_stream, json_answer, refusal, usage
from tests.services.faults import FaultServer
from tests.services.proxy import Proxy
from tests.test_ledger import reply

FIFTEEN = Context(prec=15)
PRICED = "anthropic/claude-sonnet"


@pytest.fixture
def ledger(home: Path) -> Ledger:
    """A ledger with three calls of this kernel, today."""
    made = Ledger(home)
    now = datetime.now(timezone.utc)
    for dollars, source in (
        ("0.000049999999999999996", Source.BILLED),
        ("0.02", Source.ESTIMATED),
        (None, Source.UNKNOWN),
    ):
        made.record(replace(reply(dollars, source), started=now), KERNEL, "main")
    return made


@pytest.fixture
def run(shell: Any, capsys: pytest.CaptureFixture[str]) -> Callable[[str], str]:
    """Run a line; what it printed. Raises what it raised."""

    def ran(line: str) -> str:
        capsys.readouterr()
        error = shell.run_cell(line).error_in_exec
        if error is not None:
            raise error
        return capsys.readouterr().out

    return ran


Ran = Callable[[str], str]


def test_the_view(run: Ran, ledger: Ledger, service: FaultServer) -> None:
    service.always(
        "/key/info",
        json_answer({"info": {"spend": 0.5, "max_budget": 2.0, "expires": "2031-01-05T12:00:00Z"}}),
    )
    service.always("/user/info", refusal(404, "not_found_error", "User None not found"))
    lines = run("%spend").splitlines()
    assert lines[0].split() == ["from", "the", "ledger", "spent", "calls", "known", "as"]
    for line, name in zip(
        lines[1:5], ("thread main", "this kernel", "today", "this month"), strict=True
    ):
        assert line.startswith(name)
        assert line.endswith("$0.0200      3  estimated, 1 call unpriced")
    assert lines[6].startswith("this month, by model")
    assert lines[7].startswith("gpt-5")
    assert "LiteLLM: the key's budget, $1.50 left of $2.00, $0.500 booked." in lines
    assert any(line.startswith("The key ends on 5 Jan 2031, in ") for line in lines)


@pytest.mark.parametrize("way", WAYS)
def test_every_way_to_sum(way: str, run: Ran, ledger: Ledger, service: FaultServer) -> None:
    assert set(WAYS) == set(KNOWN_WAYS)
    assert f"this month, by {way}" in run(f"%spend --by {way}")


def test_without_a_key_the_ledger_is_shown_all_the_same(run: Ran, ledger: Ledger) -> None:
    assert "this month" in run("%spend")


def test_a_service_that_is_away_takes_nothing_from_the_view(
    run: Ran, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LITELLM_API_KEY", "sk-0123456789")
    monkeypatch.setenv("LITELLM_BASE_URL", "http://127.0.0.1:9")
    words = run("%spend")
    assert "$0.0200" in words
    assert "LiteLLM says nothing of this key's budget." in words


def test_prepaid_credit_is_told(
    run: Ran, ledger: Ledger, faults: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LLMBASE_API_KEY", "llmbase_0123456789")
    monkeypatch.setenv("LLMBASE_BASE_URL", faults.url)
    faults.always("/v1/balance", json_answer({"balance": 12.5}))
    assert "LLMBase: $12.50 of credit left." in run("%spend")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("%spend --by colour", "'colour' is none of model, day, notebook, thread, kernel"),
        ("%spend today", "takes options only, not 'today'"),
        ("%spend --cap lots", "'lots' is neither an amount in US dollars nor off"),
        ("%spend --cap -1", "a value is missing"),
        ("%spend --cap nan", "'nan' is neither"),
        ("%spend -o a.b", "'a.b' is not a variable's name"),
    ],
)
def test_a_mistake_in_the_line_is_said(
    line: str, words: str, run: Ran, service: FaultServer
) -> None:
    with pytest.raises(BadOption) as caught:
        run(line)
    if "-1" not in line:
        assert words in str(caught.value)


# -- handing it over -------------------------------------------------------------------------


def test_a_file_has_every_column_to_the_last_digit(
    run: Ran, ledger: Ledger, service: FaultServer, tmp_path: Path
) -> None:
    path = tmp_path / "calls.csv"
    assert run(f"%spend --export {path}") == f"3 calls in {path}.\n"
    with path.open(newline="", encoding="utf-8") as file:
        first, *rest = csv.DictReader(file)
    assert tuple(first) == HEADER
    assert (first["dollars"], first["source"]) == ("0.000049999999999999996", "billed")
    assert (first["prompt_tokens"], first["cached_tokens"]) == ("10", "5")
    assert [row["dollars"] for row in rest] == ["0.02", ""]
    assert datetime.fromisoformat(first["started"]).tzinfo is not None


def test_an_earlier_export_is_replaced_and_nothing_else_is(
    run: Ran, ledger: Ledger, service: FaultServer, tmp_path: Path
) -> None:
    path = tmp_path / "calls.csv"
    run(f"%spend --export {path}")
    ledger.record(reply(), KERNEL)
    run(f"%spend --export {path}")
    assert len(path.read_text().splitlines()) == 5
    notes = tmp_path / "notes.csv"
    notes.write_text("started,mine\n1,2\n")
    for taken in (notes, tmp_path):
        with pytest.raises(BadOption, match="is there already"):
            run(f"%spend --export {taken}")
    assert notes.read_text() == "started,mine\n1,2\n"
    assert sorted(each.name for each in tmp_path.glob("*.csv*")) == ["calls.csv", "notes.csv"]


def test_a_folder_that_is_not_there_is_said_in_a_line(
    run: Ran, ledger: Ledger, service: FaultServer, tmp_path: Path
) -> None:
    with pytest.raises(CborgError, match="No such file"):
        run(f"%spend --export {tmp_path}/no/calls.csv")


def test_a_variable_holds_decimals(
    run: Ran, shell: Any, ledger: Ledger, service: FaultServer
) -> None:
    pandas = pytest.importorskip("pandas")
    assert run("%spend -o calls") == "3 calls in calls.\n"
    frame = shell.user_ns["calls"]
    assert isinstance(frame, pandas.DataFrame)
    assert tuple(frame.columns) == HEADER
    assert frame["dollars"][0] == Decimal("0.000049999999999999996")
    assert frame["dollars"][2] is None


def test_without_pandas_it_is_a_list(
    run: Ran, shell: Any, ledger: Ledger, service: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    run("%spend -o calls")
    calls = shell.user_ns["calls"]
    assert [call["dollars"] for call in calls][:2] == [
        Decimal("0.000049999999999999996"),
        Decimal("0.02"),
    ]
    assert calls[0]["started"].tzinfo is not None


# -- a cap -----------------------------------------------------------------------------------


def test_a_cap_is_set_told_and_lifted(run: Ran, service: FaultServer, ledger: Ledger) -> None:
    assert run("%spend --cap 0.50") == (
        "The cap of $0.50 for this kernel (%spend --cap) leaves $0.480.\n"
    )
    assert run("%spend").count("leaves $0.480") == 1
    run("%spend --cap $0.01")
    with pytest.raises(CapReached):
        run("%chat hi")
    assert run("%spend --cap off") == "This kernel has no cap.\n"
    service.script("/chat/completions", chat_stream("Yes.", usage=usage(3, 1)))
    assert "Yes." in run("%chat hi")


def test_a_cap_of_the_environment_is_back_when_the_own_one_is_lifted(
    run: Ran, service: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CBORG_BUDGET", "2")
    run("%spend --cap 1")
    assert "CBORG_BUDGET" in run("%spend --cap off")


# -- where the calls came from ----------------------------------------------------------------


def test_the_notebooks_file_is_noted(
    run: Ran, shell: Any, service: FaultServer, home: Path, tmp_path: Path
) -> None:
    file = tmp_path / "work.ipynb"
    file.write_text("{}")
    shell.user_ns["__vsc_ipynb_file__"] = str(file)
    service.script("/chat/completions", chat_stream("Yes.", usage=usage(3, 1)))
    run("%chat hi")
    assert [row.notebook for row in Ledger(home).rows()] == [str(file.resolve())]
    assert "work.ipynb" in run("%spend --by notebook")


# -- on the real proxy -------------------------------------------------------------------------


@pytest.fixture
def real(database_proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Go to the proxy with a key."""
    monkeypatch.setenv("LITELLM_BASE_URL", database_proxy.url)
    monkeypatch.setenv("CBORG_MODEL", PRICED)
    monkeypatch.setenv("CBORG_MAX_WAIT", "1")

    def use(key: str) -> None:
        monkeypatch.setenv("LITELLM_API_KEY", key)

    return use


def booked(run: Ran, more_than: str = "$0 booked") -> str:
    """The view, once the proxy has written the spending."""
    for _ in range(60):
        words = run("%spend")
        if more_than not in words:
            return words
        time.sleep(0.5)
    raise TimeoutError(words)


def test_it_agrees_with_the_proxy(
    run: Ran, shell: Any, real: Callable[[str], None], database_proxy: Proxy
) -> None:
    key = database_proxy.new_key(user_id=database_proxy.new_user(), max_budget=1)
    real(key)
    for line in (
        "!tokens 7",
        "--no-stream !tokens 9",
        "-m openai/gpt-4.1 !tokens 5",
        "-m lbl/cborg-chat hi",
    ):
        run(f"%chat --once {line}")
    logged = sum(digits(each["spend"]) for each in database_proxy.spend_logs(key, 4))
    run("%spend -o calls")
    calls = shell.user_ns["calls"]
    ours = sum(map(digits, calls["dollars"]))
    assert ours == logged > 0
    from cborg_magics.pricing import money

    database_proxy.wait_for_spend(key, more_than=float(logged) * 0.999)  # it lags its own log
    words = booked(run)
    assert f"this kernel  {money(logged)}".split() == words.splitlines()[2].split()[:3]
    assert f"the key's budget, {money(1 - logged)} left of $1.00, {money(logged)} booked" in words
    assert digits(database_proxy.wait_for_spend(key)) == logged


def digits(dollars: object) -> Decimal:
    """A figure to the digits that the binary fraction has on both sides."""
    return FIFTEEN.create_decimal(str(dollars)).normalize()


def refused(run: Ran) -> bool:
    """Is a priced call refused in the end?"""
    for _ in range(20):
        try:
            run("%chat --once !tokens 5")
        except BudgetSpent:
            return True
        time.sleep(0.5)
    return False


@pytest.mark.parametrize("owner", ["key", "user", "team"])
def test_the_budget_that_binds_and_a_call_that_crosses_it(
    owner: str, run: Ran, real: Callable[[str], None], database_proxy: Proxy
) -> None:
    limits: dict[str, dict[str, Any]] = {
        each: {"max_budget": 5} for each in ("key", "user", "team")
    }
    limits[owner] = {"max_budget": 0.0001, "budget_duration": "30d"}
    owners = {"user_id": database_proxy.new_user(**limits["user"])}
    if owner != "user":
        owners["team_id"] = database_proxy.new_team(**limits["team"])
    key = database_proxy.new_key(**owners, **limits["key"])
    real(key)
    assert f"LiteLLM: the {owner}'s budget, $0.000100 left" in run("%spend")
    run("%chat --once !tokens 50")  # the check is before the call: this one crosses
    words = booked(run, "$0.000100 left")
    assert f"LiteLLM: the {owner}'s budget, nothing left of $0.000100, $0.000" in words
    assert ", resets on " in words
    assert refused(run), "each kind of budget is counted at its own pace, but it is counted"
    run("%chat --once -m lbl/cborg-chat hi")  # free models go on, in this release
    assert "free" in run("%spend")


def test_the_users_budget_does_not_stop_a_teams_key(
    run: Ran, real: Callable[[str], None], database_proxy: Proxy
) -> None:
    user = database_proxy.new_user(max_budget=0.0001)
    real(database_proxy.new_key(user_id=user, team_id=database_proxy.new_team(max_budget=5)))
    run("%chat --once !tokens 50")
    words = booked(run)
    assert "LiteLLM: the team's budget" in words
    assert "the user's" not in words
    run("%chat --once !tokens 5")


def test_a_key_without_a_user(run: Ran, real: Callable[[str], None], database_proxy: Proxy) -> None:
    real(database_proxy.new_key())
    assert "LiteLLM has booked $0 on this key; no limit." in run("%spend")
    assert "shows its log of calls to no key of this kind" in run("%spend --reconcile")


def test_an_expired_and_a_blocked_key(
    run: Ran, real: Callable[[str], None], database_proxy: Proxy
) -> None:
    expired, blocked = database_proxy.new_key(duration="1s"), database_proxy.new_key()
    database_proxy.block_key(blocked)
    time.sleep(1.5)
    for key in (expired, blocked):
        real(key)
        assert "LiteLLM says nothing of this key's budget." in run("%spend")


def test_an_estimate_becomes_a_bill(
    run: Ran, real: Callable[[str], None], database_proxy: Proxy, home: Path
) -> None:
    key = database_proxy.new_key(user_id=database_proxy.new_user())
    real(key)
    run("%chat --once !tokens 7")
    ledger = Ledger(home)
    (row,) = ledger.rows()
    ledger.correct({row.id: Cost(Decimal("0.5"), Source.ESTIMATED)})
    database_proxy.spend_logs(key)
    words = run("%spend --reconcile")
    assert "Of 1 call the log tells the bill; noted:" in words
    assert "$0.500 estimated" in words
    assert ledger.rows()[0].cost.source is Source.BILLED
    assert "Nothing is left to explain." in words
    assert run("%spend --reconcile").splitlines() == [
        "1 call of this month is in the ledger and in LiteLLM's log.",
        "Nothing is left to explain.",
    ]


def test_the_embedded_model_has_no_log(run: Ran, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(CborgError):
        run("%spend --reconcile")
