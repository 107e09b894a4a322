"""What does a notebook see of %%chat? Each promise, kept by a real kernel and a real service.

With `pytest -s` the measured figures are printed.
"""

from __future__ import annotations

import json
import os
import queue
import re
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from cborg_magics.exchange import Outcome, Source
from cborg_magics.ledger import Ledger, Row
from tests.conftest import KEY
from tests.front_ends.kernel import Kernel, Run, clean_environment, kernel
from tests.services.answers import (
    HANG,
    SILENCE,
    Answer,
    chat_json,
    chat_stream,
    json_answer,
    refusal,
    spaced,
    usage,
)
from tests.services.faults import FaultServer
from tests.services.proxy import Proxy
from tests.services.upstream import MARKDOWN, prompt_tokens

CHAT = "/chat/completions"
SONNET = "anthropic/claude-sonnet"
WIDGET = "application/vnd.jupyter.widget-view+json"
PRICES = {"input_cost_per_token": 1e-06, "output_cost_per_token": 2e-06}
PATIENT = 50.0  # seconds within which a promise without a time is kept


@dataclass(frozen=True)
class Desk:
    """A kernel with the extension, and the ledger it writes."""

    kernel: Kernel
    ledger: Ledger

    def chat(self, line: str, text: str = "", **more: Any) -> Run:
        """Run `%%chat line` with `text`, or `%chat line` without."""
        return self.kernel.run(f"%%chat {line}\n{text}" if text else f"%chat {line}", **more)

    @property
    def row(self) -> Row:
        """The newest row of the ledger."""
        return self.ledger.rows()[-1]


@contextmanager
def desk(home: Path, **variables: str) -> Iterator[Desk]:
    with kernel(clean_environment(home, **variables)) as running:
        yield Desk(running, Ledger(home / "cborg"))


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """No key is set: the embedded model answers."""
    with desk(tmp_path_factory.mktemp("toy")) as made:
        yield made


@pytest.fixture(scope="module")
def lab_service(proxy: Proxy, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """A real LiteLLM answers; nothing is tried again, so that errors come at once."""
    settings = {
        "LITELLM_API_KEY": proxy.master_key,
        "LITELLM_BASE_URL": proxy.url,
        "CBORG_MODEL": "lbl/cborg-chat",
        "CBORG_MAX_WAIT": "0.01",
    }
    with desk(tmp_path_factory.mktemp("lab"), **settings) as made:
        yield made


@pytest.fixture(scope="module")
def server() -> Iterator[FaultServer]:
    """A service that follows a script, and has prices."""
    with FaultServer() as running:
        row = {"model_name": "test-model", "model_info": PRICES}
        running.always("/model/info", json_answer({"data": [row]}))
        yield running


@pytest.fixture(scope="module")
def scripted(server: FaultServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """The scripted service answers. It has answered once, so it is no stranger."""
    settings = {
        "LITELLM_API_KEY": KEY,
        "LITELLM_BASE_URL": server.url,
        "CBORG_MODEL": "test-model",
    }
    with desk(tmp_path_factory.mktemp("scripted"), **settings) as made:
        assert made.chat("--once hi").status == "ok"
        yield made


# -- what is on the way to the front end, and what stays --------------------------------------


def texts(run: Run) -> list[str]:
    """The blocks of the answer, as they stay."""
    return [o["data"]["text/plain"] for o in run.outputs if "text/markdown" in o.get("data", {})]


def shows(run: Run, text: str) -> bool:
    """Is `text` on screen now?"""
    return text in "".join(texts(run))


def kinds(run: Run) -> list[str]:
    """The kind of each output that stays."""
    rich = ("text/markdown", "text/html")
    found = (o.get("data", {}) for o in run.outputs)
    return [next((kind for kind in rich if kind in data), "other") for data in found]


def live_words(run: Run) -> list[str]:
    """What the badge said while it lived, one after the other."""
    drawn = [m["content"]["data"].get("text/html", "") for m in updates(run)]
    badges = [re.sub("<[^>]*>", "", html) for html in drawn if "role='note'" in html]
    return [words for words in badges if " so far" in words or "trying again" in words]


def updates(run: Run) -> list[dict[str, Any]]:
    """All that was drawn: new outputs and changed ones."""
    return [m for m in run.messages if m["type"] in ("display_data", "update_display_data")]


def parts(run: Run) -> list[str]:
    return run.badge.split(" · ")


def test_the_first_word_is_shown_while_the_model_is_still_silent(
    scripted: Desk, server: FaultServer
) -> None:
    server.script(CHAT, chat_stream("First", HANG))
    run = scripted.chat("--once go", interrupt_when=lambda run: shows(run, "First"))
    assert texts(run) == ["First"]


def test_the_last_word_before_a_silence_is_shown(scripted: Desk, server: FaultServer) -> None:
    server.script(CHAT, chat_stream("First ", "second", HANG))
    run = scripted.chat("--once go", interrupt_when=lambda run: shows(run, "First second"))
    assert texts(run) == ["First second"]


def test_an_answer_is_redrawn_ten_times_a_second_at_most(lab_service: Desk) -> None:
    run = lab_service.chat("--once !tokens 200 0.01")
    drawn = [m for m in updates(run) if "text/markdown" in m["content"]["data"]]
    seconds = drawn[-1]["sent"] - drawn[0]["sent"]
    print(f"\n{len(drawn)} drawings in {seconds:.2f} s")
    assert seconds > 1
    assert 4 <= len(drawn) <= 10 * seconds + 3  # the first, the last, and one that was due


def test_a_long_answer_travels_a_few_times_not_once_for_each_word(
    scripted: Desk, server: FaultServer
) -> None:
    text = MARKDOWN * 20
    pieces = re.findall(r"(?s).{1,4}", text)
    server.script(CHAT, chat_stream(*spaced(pieces, 0.0005)))
    run = scripted.chat("--once go")
    ratio = len(run.all_text) / len(text.encode())
    print(f"\n{len(text)} characters in {run.seconds:.1f} s: {ratio:.1f} times on iopub")
    assert "".join(texts(run)) == text
    assert 5 < len(texts(run)) <= 31, "JupyterLab hides outputs after the fiftieth"
    assert ratio <= 60


def test_what_stays_is_the_answer_exactly_and_one_badge(lab_service: Desk) -> None:
    run = lab_service.chat("--once", "!echo " + MARKDOWN * 3)
    assert run.status == "ok"
    assert kinds(run) == ["text/markdown"] * (len(run.outputs) - 1) + ["text/html"]
    assert "".join(texts(run)) == (MARKDOWN * 3).removesuffix("\n")
    assert WIDGET not in json.dumps(run.outputs)


def test_the_embedded_model_streams_with_a_badge_too(toy: Desk) -> None:
    run = toy.chat("What is the capital of France?")
    assert kinds(run)[-2:] == ["text/markdown", "text/html"]
    assert "Paris" in texts(run)[0]
    assert WIDGET not in json.dumps(run.outputs)


def test_many_calls_leave_no_widget_in_the_kernel(toy: Desk) -> None:
    for _ in range(10):
        assert toy.chat("--once --max-tokens 1 Hi").status == "ok"
    assert toy.kernel.value("len(get_ipython().kernel.comm_manager.comms)").strip() == "0"


def test_reasoning_is_open_while_it_is_written_and_folded_afterwards(lab_service: Desk) -> None:
    run = lab_service.chat("--once -m lbl/cborg-deepthought !reason 30 5 0.03")
    drawn = [m["content"]["data"].get("text/html", "") for m in updates(run)]
    live = [html for html in drawn if "<details open>" in html]
    assert len(live) > 1
    assert len(live[0]) < len(live[-1])
    assert kinds(run) == ["text/html", "text/markdown", "text/html"]
    folded = run.outputs[0]["data"]
    assert folded["text/html"].startswith("<details><summary")
    assert folded["text/plain"] == "Reasoning: " + "".join(f"t{i} " for i in range(30))
    assert "(30 reasoning)" in run.badge


def test_the_live_badge_tells_seconds_and_speed(lab_service: Desk) -> None:
    words = live_words(lab_service.chat("--once !tokens 150 0.02"))
    assert all("lbl/cborg-chat" in each for each in words)
    assert re.search(r"^lbl/cborg-chat · [\d.]+ s so far · about \d+ tokens a second$", words[-1])


# -- the badge, and the ledger that says the same ---------------------------------------------


@pytest.mark.parametrize("option", ["", "--no-stream "])
@pytest.mark.parametrize(
    ("model", "shown", "prices"),
    [
        (SONNET, f"{SONNET} (openai/claude-sonnet-4-5)", ("3e-6", "3e-7", "15e-6")),
        ("lbl/cborg-chat", "lbl/cborg-chat (openai/gpt-oss-120b)", "free"),
        ("test/unpriced", "test/unpriced (openai/house-model-7b)", "cost unknown"),
    ],
)
def test_the_badge_and_the_ledger_tell_who_how_much_and_what_it_cost(
    lab_service: Desk,
    proxy: Proxy,
    option: str,
    model: str,
    shown: str,
    prices: tuple[str, str, str] | str,
) -> None:
    run = lab_service.chat(f"--once {option}-m {model} !cached 100")
    fresh, row = prompt_tokens(proxy.seen()[-1]["body"]), lab_service.row
    assert parts(run)[:2] == [shown, f"{fresh + 100} tokens in (100 cached), 1 out"]
    assert run.badge.endswith(" s · location unknown"), "LiteLLM does not say where its models are"
    assert row.usage is not None
    assert (row.usage.prompt, row.usage.cached, row.usage.completion) == (fresh + 100, 100, 1)
    assert (row.model, row.outcome, row.host) == (
        model,
        Outcome.COMPLETED,
        proxy.url.removeprefix("http://"),
    )
    assert row.call_id
    if isinstance(prices, str):
        assert parts(run)[2] == prices
        free = prices == "free"
        assert row.cost.source is (Source.FREE if free else Source.UNKNOWN)
        assert row.cost.dollars == (0 if free else None)
    else:
        new, cached, out = map(Decimal, prices)
        assert row.cost.source is Source.BILLED
        expected = fresh * new + 100 * cached + out
        assert float(row.cost.dollars or 0) == pytest.approx(float(expected))
        assert re.fullmatch(r"\$0\.0+[1-9]\d\d billed", parts(run)[2])
        assert Decimal(parts(run)[2].split()[0][1:]) == pytest.approx(
            row.cost.dollars, rel=Decimal("0.005")
        )


TRAPS = {"x-litellm-response-cost": "0.0", "x-litellm-response-cost-original": "0.0"}


@pytest.mark.parametrize(
    ("option", "answer", "dollars", "source"),
    [
        (
            "",
            chat_stream("a", usage={**usage(9, 1), "cost": 4.9999999999999996e-05}, headers=TRAPS),
            "0.000049999999999999996",
            Source.BILLED,
        ),
        (
            "--no-stream",
            chat_json(
                "a", usage=usage(9, 1), headers={"x-litellm-response-cost": "1.2345678901234567e-4"}
            ),
            "0.00012345678901234567",
            Source.BILLED,
        ),
        ("", chat_stream("a", usage=usage(9, 1), headers=TRAPS), "0.000011", Source.ESTIMATED),
    ],
)
def test_dollars_are_the_services_own_digits(
    scripted: Desk, server: FaultServer, option: str, answer: Answer, dollars: str, source: Source
) -> None:
    server.script(CHAT, answer)
    run = scripted.chat(f"--once {option} go")
    assert (scripted.row.cost.dollars, scripted.row.cost.source) == (Decimal(dollars), source)
    assert parts(run)[2].endswith(source.value)


def test_the_badge_names_this_machine_and_premises_that_are_proved(toy: Desk, proxy: Proxy) -> None:
    run = toy.chat("--once --max-tokens 1 Hi")
    assert parts(run)[0] == "smollm2-135m"
    assert "free" in parts(run)
    assert run.badge.endswith("on this machine")
    settings = {"CBORG_API_KEY": proxy.master_key, "CBORG_BASE_URL": proxy.url}
    toy.kernel.run(f"import os; os.environ |= {settings!r}")
    proved = toy.chat("--once -m lbl/cborg-deepthought hello").badge
    prefix_only = toy.chat("--once -m lbl/cborg-chat hello").badge
    toy.kernel.run("del os.environ['CBORG_API_KEY'], os.environ['CBORG_BASE_URL']")
    assert proved.endswith("on-premises")
    assert prefix_only.endswith("location unknown")


# -- Ctrl-C -----------------------------------------------------------------------------------


def assert_stopped(run: Run, desk: Desk, cost: str, row_cost: Source) -> None:
    """The cell ended soon and in few words, with a badge and a row that tell of it."""
    print(f"\ninterrupt to idle: {run.seconds * 1000:.0f} ms")
    assert run.seconds < 2
    assert run.status == "error"
    assert run.outputs[-1]["ename"] == "Interrupted"
    assert len(run.error_lines) <= 3
    assert "interrupted" in run.badge
    assert cost in run.badge
    assert WIDGET not in json.dumps(run.outputs)
    row = desk.row
    assert row.outcome is Outcome.INTERRUPTED
    assert row.cost.source is row_cost


def test_ctrl_c_in_mid_answer_keeps_the_part_that_came(scripted: Desk, server: FaultServer) -> None:
    server.script(CHAT, chat_stream("half of it", HANG))
    run = scripted.chat("--new tell me", interrupt_when=lambda run: shows(run, "half"))
    assert_stopped(run, scripted, "estimated", Source.ESTIMATED)
    assert texts(run) == ["half of it"]
    assert "interrupted, partial" in run.badge
    assert server.requests_to(CHAT)[-1].closed.wait(PATIENT), "the model writes on"
    assert scripted.chat("go on").status == "ok"
    assert [m["content"] for m in server.requests_to(CHAT)[-1].body["messages"]] == [
        "tell me",
        "half of it",
        "go on",
    ]


def test_ctrl_c_in_mid_answer_stops_a_real_service_and_the_embedded_model(
    lab_service: Desk, toy: Desk
) -> None:
    run = lab_service.chat("!tokens 3000 0.02", interrupt_when=lambda run: shows(run, "w3 "))
    assert_stopped(run, lab_service, "free", Source.FREE)
    run = toy.chat("Count to ten thousand.", interrupt_when=lambda run: bool(texts(run)))
    assert_stopped(run, toy, "free", Source.FREE)
    assert toy.chat("--once --max-tokens 1 Hi").status == "ok"


def test_ctrl_c_before_the_first_word_is_charged_as_if_it_was_read(
    scripted: Desk, server: FaultServer
) -> None:
    before = len(server.requests_to(CHAT))
    server.script(CHAT, SILENCE)
    run = scripted.chat(
        "--new nothing", interrupt_when=lambda run: len(server.requests_to(CHAT)) > before
    )
    assert_stopped(run, scripted, "estimated", Source.ESTIMATED)
    assert "interrupted, no text came" in run.badge
    assert server.requests_to(CHAT)[-1].closed.wait(PATIENT), "the model works on"
    assert scripted.chat("next").status == "ok"
    assert [m["content"] for m in server.requests_to(CHAT)[-1].body["messages"]][-1] == "next"


def test_ctrl_c_ends_an_hour_of_waiting_and_nothing_is_charged(
    scripted: Desk, server: FaultServer
) -> None:
    server.script(CHAT, refusal(429, "throttling_error", "slow", {"retry-after": "3600"}))
    run = scripted.chat(
        "--once go",
        interrupt_when=lambda run: any("trying again in" in words for words in live_words(run)),
    )
    assert_stopped(run, scripted, "nothing charged", Source.FREE)
    assert any(
        re.search(r"trying again in 3[56]\d\d s, attempt 2 of 6", words)
        for words in live_words(run)
    )
    assert scripted.chat("--once next").status == "ok"


PRESS = """
import signal
def press(message, left=[{number}]):
    if {when}:
        left[0] -= 1
        if left[0] == 0:
            signal.raise_signal(signal.SIGINT)
    return message
get_ipython().display_pub.register_hook(press)
"""


@contextmanager
def ctrl_c(desk: Desk, number: int, when: str = "True") -> Iterator[None]:
    """A Ctrl-C falls into the drawing of a `message`: the one with this number of those that
    `when` is true of."""
    desk.kernel.run(PRESS.format(number=number, when=when))
    yield
    desk.kernel.run("get_ipython().display_pub.unregister_hook(press)")


# live badge, text in its place, live badge below it; then the end: text, badge
@pytest.mark.parametrize("drawing", [1, 2, 3, 4, 5])
def test_ctrl_c_while_something_is_drawn_loses_nothing(
    scripted: Desk, server: FaultServer, drawing: int
) -> None:
    if drawing > 1:  # else nothing is asked for
        server.script(CHAT, chat_stream("half", HANG))
    is_second = drawing > 3
    with ctrl_c(scripted, drawing):
        run = scripted.chat(
            "--new go", interrupt_when=(lambda run: shows(run, "half")) if is_second else None
        )
    cost = ("estimated", Source.ESTIMATED) if drawing > 1 else ("nothing charged", Source.FREE)
    assert_stopped(run, scripted, *cost)
    assert texts(run) == (["half"] if drawing > 1 else [])
    assert kinds(run)[-2:] == ["text/html", "other"]


def test_two_ctrl_c_at_once_lose_nothing(scripted: Desk, server: FaultServer) -> None:
    process = int(scripted.kernel.value("__import__('os').getpid()"))

    def first(run: Run) -> bool:
        if shows(run, "half"):
            os.kill(process, signal.SIGINT)
        return shows(run, "half")  # and Kernel.run sends the second

    for _ in range(3):
        server.script(CHAT, chat_stream("half", HANG))
        run = scripted.chat("--once go", interrupt_when=first)
        assert_stopped(run, scripted, "estimated", Source.ESTIMATED)
        assert texts(run) == ["half"]


def test_ctrl_c_when_all_has_come_loses_neither_answer_nor_badge(
    scripted: Desk, server: FaultServer
) -> None:
    server.script(CHAT, chat_stream("all of it", usage=usage(9, 3)))
    with ctrl_c(scripted, 1, "'9 tokens in' in message['content']['data']['text/plain']"):
        run = scripted.chat("--once go")
    assert texts(run) == ["all of it"]
    assert "9 tokens in, 3 out" in run.badge
    assert run.status == "error", "Run All goes on although it was stopped"
    assert len(run.error_lines) <= 3


# -- waiting for better times -----------------------------------------------------------------


def test_a_busy_service_is_asked_again_after_a_countdown(
    scripted: Desk, server: FaultServer
) -> None:
    server.script(
        CHAT,
        refusal(429, "throttling_error", "slow down", {"retry-after": "3"}),
        chat_stream("at last"),
    )
    run = scripted.chat("--once go")
    assert (run.status, texts(run)) == ("ok", ["at last"])
    words = " is busy (429); trying again in {} s, attempt 2 of 6"
    host = server.url.removeprefix("http://")
    shown = [w for w in dict.fromkeys(live_words(run)) if "trying again" in w]
    assert len(shown) > 1  # all three, unless the machine stood still for a second
    expected = [host + words.format(seconds) for seconds in (3, 2, 1)]
    assert shown == [each for each in expected if each in shown]
    assert "trying again" not in json.dumps(run.outputs)
    assert scripted.row.outcome is Outcome.COMPLETED


def test_the_wait_that_the_model_behind_a_proxy_asks_for_is_kept(lab_service: Desk) -> None:
    lab_service.kernel.run("import os; os.environ['CBORG_MAX_WAIT'] = '60'")
    began = time.monotonic()
    run = lab_service.chat(f"--once !fail 1 429 2 {time.time_ns()}")
    lab_service.kernel.run("os.environ['CBORG_MAX_WAIT'] = '0.01'")
    assert run.status == "ok"
    # LiteLLM writes it as llm_provider-retry-after
    assert any("trying again in 2 s, attempt 2 of 6" in words for words in live_words(run))
    assert time.monotonic() - began >= 2


def test_a_network_that_comes_back_is_waited_for(scripted: Desk, server: FaultServer) -> None:
    starting = threading.Event()

    def back(run: Run) -> bool:
        if any("attempt 2" in words for words in live_words(run)) and not starting.is_set():
            starting.set()
            server.start()
        return False

    server.stop()
    run = scripted.chat("--once still there?", interrupt_when=back)
    assert (run.status, texts(run)) == ("ok", ["ok"])
    host = server.url.removeprefix("http://")
    assert any(
        re.fullmatch(rf"cannot reach {host}: .+; trying again in \d+ s, attempt 2", words)
        for words in live_words(run)
    ), "without a limit: the host has answered before, and a person can stop it"


# -- errors -----------------------------------------------------------------------------------

ERRORS = [
    ("-m lbl/cborg-caht hi", "UnknownModel", "Did you mean lbl/cborg-chat?"),
    ("!err 400", "Refused", "upstream says 400"),
    ("!err 401", "Refused", "upstream says 401"),
    ("!err 402", "Refused", "upstream says 402"),
    ("!err 403", "Refused", "upstream says 403"),
    ("!err 404", "Refused", "upstream says 404"),
    ("!err 408", "Unavailable", "cannot answer now (408)"),
    ("!err 413", "TooLong", "--new or --once"),
    ("!err 422", "Refused", "upstream says 422"),
    ("!err 429", "Busy", "is busy (429)"),
    ("!err 500", "Unavailable", "cannot answer now (500)"),
    ("!err 503", "Unavailable", "cannot answer now (503)"),
    ("!err 529", "Unavailable", "cannot answer now (529)"),
    ("!err 400 content_policy_violation", "PolicyRefusal", "other words"),
    ("!err 400 context_length_exceeded", "TooLong", "--new or --once"),
    ("-m test/down hi", "Unavailable", "Connection error"),
    ("-m test/slow !sleep 3", "Unavailable", "(408)"),
    ("!cut 2", "StreamBroken", "broke off"),
    ("!event 2", "StreamBroken", "CUDA out of memory"),
]


@pytest.mark.parametrize(("line", "name", "words"), ERRORS)
def test_an_error_is_a_few_lines_and_the_cell_fails(
    lab_service: Desk, line: str, name: str, words: str
) -> None:
    run = lab_service.chat(f"--once {line}")
    assert run.status == "error"
    assert run.error_lines[0].startswith(f"{name}: ")
    assert words in "\n".join(run.error_lines)
    assert len(run.error_lines) <= 4
    assert run.messages[-2]["type"] == "error", "the last thing on screen"
    assert lab_service.row.error == name
    if name == "StreamBroken":
        assert texts(run) == ["w0 w1 "]
        assert "broken off, partial" in run.badge
        assert lab_service.row.outcome is Outcome.BROKEN
    else:
        assert texts(run) == []
        assert parts(run)[1:3] == ["no answer", "nothing charged"]
        assert lab_service.row.outcome is Outcome.FAILED
        assert lab_service.row.cost.dollars == 0


def test_a_wrong_key_names_the_variable_and_is_not_shown(lab_service: Desk, proxy: Proxy) -> None:
    lab_service.kernel.run(f"import os; os.environ['LITELLM_API_KEY'] = {KEY!r}")
    run = lab_service.chat("--once hi")
    lab_service.kernel.run(f"os.environ['LITELLM_API_KEY'] = {proxy.master_key!r}")
    assert run.error_lines[0].startswith("KeyRefused: 127.0.0.1")
    assert "LITELLM_API_KEY" in run.error_lines[-1]
    assert len(run.error_lines) <= 4
    sent = [m for m in run.messages if m["type"] != "execute_input"]
    assert KEY not in json.dumps(sent)


def statuses(desk: Desk, *cells: str, when: Any = None) -> list[str]:
    """Queue the cells at once, as Run All does; how each of them ended."""
    client = desk.kernel.client
    asked = [client.execute(cell) for cell in cells]
    if when:
        when()
    ended: dict[str, str] = {}
    deadline = time.monotonic() + PATIENT
    while len(ended) < len(asked) and time.monotonic() < deadline:
        try:
            reply = client.get_shell_msg(timeout=1)
        except queue.Empty:
            continue
        if reply["parent_header"].get("msg_id") in asked:
            ended[reply["parent_header"]["msg_id"]] = reply["content"]["status"]
    return [ended[number] for number in asked]


def test_run_all_stops_at_an_error_and_at_ctrl_c(scripted: Desk, server: FaultServer) -> None:
    # the pauses let the second cell reach the kernel before the first one ends
    server.script(CHAT, refusal(400, "invalid_request_error", "no").after(1))
    assert statuses(scripted, "%chat --once a", "1 + 1") == ["error", "aborted"]
    server.script(CHAT, chat_stream("b").after(1))
    assert statuses(scripted, "%chat --once b", "1 + 1") == ["ok", "ok"]
    process = int(scripted.kernel.value("__import__('os').getpid()"))
    server.script(CHAT, SILENCE)
    before = len(server.requests_to(CHAT))

    def stop() -> None:
        server.wait_for(CHAT, before + 1, PATIENT)
        time.sleep(1)
        os.kill(process, signal.SIGINT)

    assert statuses(scripted, "%chat --once c", "1 + 1", when=stop) == ["error", "aborted"]


@pytest.mark.parametrize(
    "chunk",
    [
        {"choices": [{"index": 0, "delta": None}]},
        {"choices": [{"index": 0, "delta": {"content": ["a part"]}}]},
        {"choices": [{"index": 0, "delta": {"content": "b"}}], "usage": {"prompt_tokens": "many"}},
        {"choices": "none"},
        [1],
        None,
    ],
)
def test_nonsense_in_a_stream_breaks_the_answer_not_the_tool(
    scripted: Desk, server: FaultServer, chunk: Any
) -> None:
    nonsense = f"data: {json.dumps(chunk)}\n\n".encode()
    server.script(CHAT, chat_stream("half", nonsense, finish=None, done=False))
    before = len(scripted.ledger.rows())
    run = scripted.chat("--once go")
    assert run.error_lines[0].startswith("StreamBroken: ")
    assert len(run.error_lines) <= 4
    assert texts(run)[0].startswith("half")
    assert "broken off, partial" in run.badge
    assert len(scripted.ledger.rows()) == before + 1


BROKEN_SCREEN = """
def broken(message):
    if {when}:
        raise OSError("the screen is broken")
    return message
get_ipython().display_pub.register_hook(broken)
"""
TICKERS = "sum('_run' in thread.name for thread in __import__('threading').enumerate())"


def test_a_screen_that_fails_costs_no_charge_and_leaves_nothing_ticking(
    scripted: Desk, server: FaultServer
) -> None:
    server.script(CHAT, chat_stream("one", usage=usage(9, 3)))
    scripted.kernel.run(BROKEN_SCREEN.format(when="'text/markdown' in message['content']['data']"))
    before = len(scripted.ledger.rows())
    run = scripted.chat("--once go")
    scripted.kernel.run("get_ipython().display_pub.unregister_hook(broken)")
    assert run.status == "error"
    assert len(scripted.ledger.rows()) == before + 1
    assert scripted.row.cost.source is Source.ESTIMATED
    assert scripted.kernel.value(TICKERS).strip() == "0"
    assert WIDGET not in json.dumps(run.outputs), "a dead widget would be saved"


# -- what is sent -----------------------------------------------------------------------------


def test_a_cell_reaches_the_model_as_it_was_typed(lab_service: Desk, proxy: Proxy) -> None:
    tricky = (
        r'{"a": {"b": [1, "it\'s"]}} {} {os} $PATH $$\frac{1}{2}$$ \(x\)' + "\n"
        "\t\"'`quotes`'\" 100 % # no comment?\n  !ls %pwd ?\n\n🎉 你好 ünïcödé\\"
    )
    long = "\n".join(f"line {number} of a long, long text: é" for number in range(6000))
    assert len(long) > 200_000
    for text in (tricky, long):
        run = lab_service.chat("--once --no-stream", text)
        assert run.status == "ok", run.error_lines
        assert proxy.seen()[-1]["body"]["messages"] == [{"role": "user", "content": text}]
