"""Do the servers of the tests do what they promise?"""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import openai
import pytest

from tests.services.answers import (
    CUT,
    DROP,
    HANG,
    Thought,
    chat_json,
    chat_stream,
    cloudflare,
    json_answer,
    redirect,
    refusal,
    usage,
)
from tests.services.faults import FaultServer, nobody
from tests.services.processes import running, wait_until
from tests.services.proxy import Proxy, send
from tests.services.upstream import MARKDOWN

CHAT = "/v1/chat/completions"
SONNET = "anthropic/claude-sonnet"
MESSAGE: list[Any] = [{"role": "user", "content": "hello"}]


@contextlib.contextmanager
def sdk(url: str, key: str = "sk-test-nobody", **options: Any) -> Iterator[openai.OpenAI]:
    """Give openai's client, which does not try again by itself."""
    with openai.OpenAI(base_url=url, api_key=key, max_retries=0, **options) as client:
        yield client


def stream(server: Proxy | FaultServer, text: str, model: str = SONNET) -> Iterator[Any]:
    """Give the chunks of a streamed chat."""
    key = server.master_key if isinstance(server, Proxy) else "sk-test-nobody"
    messages: list[Any] = [{"role": "user", "content": text}]
    with (
        sdk(server.url, key) as client,
        client.chat.completions.create(
            model=model, messages=messages, stream=True, stream_options={"include_usage": True}
        ) as chunks,
    ):
        yield from chunks


def said(chunks: list[Any], name: str = "content") -> str:
    """Join the pieces of a stream."""
    deltas = [chunk.choices[0].delta for chunk in chunks if chunk.choices]
    return "".join(getattr(delta, name, None) or "" for delta in deltas)


def until_broken(chunks: Iterator[Any]) -> tuple[str, openai.APIError]:
    """Read a stream that breaks: gives what was said, and the error."""
    found: list[Any] = []
    with pytest.raises(openai.APIError) as caught:
        found.extend(chunks)  # keeps what came before the error
    return said(found), caught.value


# --- the proxy, and the upstream's commands through it


def test_tokens_and_usage_with_details_and_cost(proxy: Proxy) -> None:
    chunks = list(stream(proxy, "!tokens 3"))
    assert said(chunks) == "w0 w1 w2 "
    counts = chunks[-1].usage
    assert counts.completion_tokens == 3
    assert counts.completion_tokens_details.reasoning_tokens == 0
    assert counts.cost == pytest.approx(3e-6 * counts.prompt_tokens + 1.5e-5 * 3)
    assert len({chunk.id for chunk in chunks}) == 1


def test_tokens_with_a_delay(proxy: Proxy) -> None:
    began = time.monotonic()
    assert said(list(stream(proxy, "!tokens 3 0.1"))) == "w0 w1 w2 "
    assert time.monotonic() - began >= 0.3


def test_reasoning(proxy: Proxy) -> None:
    chunks = list(stream(proxy, "!reason 2 1", "lbl/cborg-deepthought"))
    assert said(chunks, "reasoning_content") == "t0 t1 "
    assert said(chunks) == "w0 "
    assert chunks[-1].usage.completion_tokens_details.reasoning_tokens == 2


def test_sleep_is_before_the_answer(proxy: Proxy) -> None:
    began = time.monotonic()
    next(stream(proxy, "!sleep 0.5"))
    assert time.monotonic() - began >= 0.5


def test_stall_is_within_the_answer(proxy: Proxy) -> None:
    arrivals = {}
    for chunk in stream(proxy, "!stall 1 0.5"):
        arrivals[said([chunk])] = time.monotonic()
    assert arrivals["end"] - arrivals["w0 "] >= 0.4


def test_cut_and_event_break_the_answer(proxy: Proxy) -> None:
    text, error = until_broken(stream(proxy, "!cut 2"))
    assert text == "w0 w1 "
    assert not isinstance(error, openai.APIStatusError)
    text, error = until_broken(stream(proxy, "!event 2"))
    assert text == "w0 w1 "
    assert "CUDA out of memory" in error.message


def test_errors(proxy: Proxy) -> None:
    assert proxy.chat("!err 503")[0] == 503
    status, headers, answer = proxy.chat("!err 429")
    assert (status, headers["llm_provider-retry-after"]) == (429, "7")
    status, _, answer = proxy.chat("!err 400 context_length_exceeded")
    assert status == 400
    assert answer["error"]["message"].startswith("litellm.ContextWindowExceededError")


def test_fail_then_answer(proxy: Proxy) -> None:
    text = f"!fail 2 503 1.5 {time.time_ns()}"
    status, headers, _ = proxy.chat(text)
    assert (status, headers["llm_provider-retry-after"]) == (503, "1.5")
    assert [proxy.chat(text)[0] for _ in range(2)] == [503, 200]


def test_echo_is_exact(proxy: Proxy) -> None:
    text = "  two  blanks,\n\ta tab, é 日本 🙂 $x$ "
    assert said(list(stream(proxy, f"!echo {text}"))) == text
    answer = proxy.chat(f"!echo {text}")[2]
    assert answer["choices"][0]["message"]["content"] == text


def test_markdown(proxy: Proxy) -> None:
    chunks = list(stream(proxy, "!markdown"))
    assert said(chunks) == MARKDOWN
    assert len(chunks) > 100


def test_cached_tokens_are_cheaper(proxy: Proxy) -> None:
    _, headers, answer = proxy.chat("!cached 100", SONNET)
    counts = answer["usage"]
    assert counts["prompt_tokens_details"]["cached_tokens"] == 100
    fresh = counts["prompt_tokens"] - 100
    cost = 3e-6 * fresh + 3e-7 * 100 + 1.5e-5 * counts["completion_tokens"]
    assert float(headers["x-litellm-response-cost"]) == pytest.approx(cost)


def test_seen_is_what_the_upstream_received(proxy: Proxy) -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    content = [{"type": "text", "text": "look"}, image]
    body = {"model": "lbl/cborg-vision", "messages": [{"role": "user", "content": content}]}
    answer = proxy.call(CHAT, body)[2]
    assert (
        answer["choices"][0]["message"]["content"] == "You said: look [1 image(s), 26 characters]"
    )
    request = proxy.seen()[-1]
    assert request["body"] == {**body, "model": "qwen-vl"}
    assert request["headers"]["authorization"] == "Bearer fake-upstream"


def test_embeddings(proxy: Proxy) -> None:
    with sdk(proxy.url, proxy.master_key) as client:
        for form in ("float", "base64"):
            data = client.embeddings.create(
                model="nomic-embed-text",
                input=["a", "b", "a"],
                encoding_format=form,
            ).data
            first, other, same = (each.embedding for each in data)
            assert first == same != other


def test_models_that_refuse(proxy: Proxy) -> None:
    assert proxy.chat("!sleep 3", "test/slow")[0] == 408
    assert proxy.chat("hello", "test/down")[0] == 500
    assert proxy.chat("hello", "test/none")[0] == 400
    assert proxy.chat("hello", "test/mock")[0] == 200
    assert [proxy.chat("hello", "test/limited")[0] for _ in range(3)] == [200, 200, 429]


def test_an_unpriced_model_looks_free_but_for_its_prices(proxy: Proxy) -> None:
    models = {
        each["model_name"]: each["model_info"] for each in proxy.call("/model/info")[2]["data"]
    }
    assert models["test/unpriced"]["input_cost_per_token"] is None
    assert models["lbl/cborg-chat"]["input_cost_per_token"] == 0
    for model in ("test/unpriced", "lbl/cborg-chat"):
        assert "x-litellm-response-cost" not in proxy.chat("hello", model)[1]
        assert not hasattr(list(stream(proxy, "hello", model))[-1].usage, "cost")


def test_a_wrong_key_without_a_database(proxy: Proxy) -> None:
    status, _, answer = proxy.chat("hello", key="sk-test-wrong-key")
    assert (status, answer["error"]["type"]) == (400, "no_db_connection")


# --- the proxy with a database


def test_spend_arrives(database_proxy: Proxy) -> None:
    user = database_proxy.new_user(max_budget=1.0, budget_duration="30d")
    key = database_proxy.new_key(user_id=user)
    _, headers, answer = database_proxy.chat("hello", SONNET, key=key)
    cost = pytest.approx(float(headers["x-litellm-response-cost"]))
    assert database_proxy.wait_for_spend(key) == cost
    (row,) = database_proxy.spend_logs(key)
    assert (row["request_id"], row["spend"]) == (answer["id"], cost)


def test_an_unpriced_call_is_booked_as_free(database_proxy: Proxy) -> None:
    key = database_proxy.new_key()
    database_proxy.chat("hello", "test/unpriced", key=key)
    (row,) = database_proxy.spend_logs(key)
    assert row["spend"] == 0


@pytest.mark.parametrize("owner", ["key", "user", "team"])
def test_budgets_refuse(database_proxy: Proxy, owner: str) -> None:
    key = key_with_budget(database_proxy, owner)
    assert database_proxy.chat("hello", SONNET, key=key)[0] == 200
    database_proxy.wait_for_spend(key)
    status, _, answer = database_proxy.chat("hello", SONNET, key=key)
    assert (status, answer["error"]["type"]) == (422, "budget_exceeded")


def key_with_budget(proxy: Proxy, owner: str) -> str:
    """Create a key whose own, user's or team's budget one call uses up."""
    if owner == "user":
        return proxy.new_key(user_id=proxy.new_user(max_budget=1e-9))
    if owner == "team":
        return proxy.new_key(team_id=proxy.new_team(max_budget=1e-9))
    return proxy.new_key(max_budget=1e-9)


def test_keys_that_are_refused(database_proxy: Proxy) -> None:
    expired = database_proxy.new_key(duration="1s")
    blocked = database_proxy.new_key()
    database_proxy.block_key(blocked)
    narrow = database_proxy.new_key(models=["lbl/cborg-chat"])
    time.sleep(1.5)
    assert refused(database_proxy, expired) == (401, "expired_key")
    assert refused(database_proxy, blocked) == (401, "auth_error")
    assert refused(database_proxy, narrow) == (403, "key_model_access_denied")
    assert refused(database_proxy, "sk-test-wrong-key") == (401, "token_not_found_in_db")


def refused(proxy: Proxy, key: str) -> tuple[int, str]:
    """Give the status and the type of a refusal."""
    status, _, answer = proxy.chat("hello", SONNET, key=key)
    return status, answer["error"]["type"]


def test_rate_limit(database_proxy: Proxy) -> None:
    key = database_proxy.new_key(rpm_limit=1)
    assert database_proxy.chat("hello", key=key)[0] == 200
    status, headers, _ = database_proxy.chat("hello", key=key)
    assert (status, headers["retry-after"]) == (429, "60")


# --- the server that follows a script


def test_it_is_kind_without_a_script(faults: FaultServer) -> None:
    with sdk(faults.url) as client:
        answer = client.chat.completions.create(model="m", messages=MESSAGE)
        assert answer.choices[0].message.content == "ok"
    chunks = list(stream(faults, "hello"))
    assert said(chunks) == "ok"
    assert chunks[-1].usage.total_tokens == 2
    assert send(f"{faults.url}/v1/model/info")[2] == {"data": []}


def test_it_follows_the_script_and_keeps_the_requests(faults: FaultServer) -> None:
    refuse = refusal(429, "throttling_error", "slow down", {"retry-after": "60"})
    faults.script("/chat/completions", refuse, chat_json("fine", usage=usage(1, 2)))
    faults.always("/model/info", json_answer({"data": [1]}))
    replies = [send(faults.url + CHAT, {"stream": False}, "sk-test-key") for _ in range(2)]
    assert [status for status, _, _ in replies] == [429, 200]
    assert replies[0][1]["retry-after"] == "60"
    assert replies[0][2]["error"]["code"] == "429"
    assert [send(f"{faults.url}/model/info")[2] for _ in range(2)] == [{"data": [1]}] * 2
    request = faults.wait_for(CHAT, 2)[0]
    assert (request.method, request.path) == ("POST", CHAT)
    assert request.headers["authorization"] == "Bearer sk-test-key"
    assert request.body == {"stream": False}
    assert request.answered.is_set()


def test_it_streams_pieces(faults: FaultServer) -> None:
    strange = {"choices": [], "extra": 1}
    pieces = (Thought("hm "), "a", 0.3, b": ping\n\n", strange, "b")
    faults.script(CHAT, chat_stream(*pieces, usage=usage(1, 2)))
    began = time.monotonic()
    chunks = list(stream(faults, "hello"))
    assert (said(chunks, "reasoning_content"), said(chunks)) == ("hm ", "ab")
    assert time.monotonic() - began >= 0.3
    assert [chunk.extra for chunk in chunks if not chunk.choices and not chunk.usage] == [1]


def test_it_cuts_the_connection(faults: FaultServer) -> None:
    faults.script(CHAT, chat_stream("a", CUT), DROP)
    with (
        urllib.request.urlopen(faults.url + CHAT, data=b"{}", timeout=10) as answer,
        pytest.raises(http.client.IncompleteRead) as caught,
    ):
        answer.read()
    assert b'"content": "a"' in caught.value.partial
    with pytest.raises(http.client.RemoteDisconnected):
        urllib.request.urlopen(faults.url + CHAT, data=b"{}", timeout=10)


def test_it_notices_that_the_client_went_away(faults: FaultServer) -> None:
    faults.script(CHAT, chat_stream("a", HANG))
    chunks = stream(faults, "hello")
    assert said([next(chunks), next(chunks)]) == "a"
    (request,) = faults.wait_for(CHAT)
    assert not request.closed.wait(0.2)
    chunks.close()  # type: ignore[attr-defined]
    assert request.closed.wait(5)
    assert request.closed_after is not None
    assert request.closed_after >= 0.2


def test_slow_headers(faults: FaultServer) -> None:
    faults.script(CHAT, chat_json("late").after(5))
    with sdk(faults.url, timeout=0.2) as client, pytest.raises(openai.APITimeoutError):
        client.chat.completions.create(model="m", messages=MESSAGE)
    assert faults.wait_for(CHAT)[0].closed.wait(5)


@pytest.mark.parametrize("status", [403, 503])
def test_cloudflare_pages(faults: FaultServer, status: int) -> None:
    faults.script("/model/info", cloudflare(status))
    found, headers, page = send(f"{faults.url}/model/info")
    assert (found, headers["server"]) == (status, "cloudflare")
    assert page.startswith("<!DOCTYPE html>")


def test_redirect_to_another_host(faults: FaultServer) -> None:
    with FaultServer() as other:
        faults.script("/model/info", redirect(f"{other.url}/models"))
        assert send(f"{faults.url}/model/info")[0] == 200
        assert other.requests_to("/models")


def test_refused_connections(faults: FaultServer) -> None:
    for url in (nobody(), faults.url):
        faults.stop()
        with pytest.raises(urllib.error.URLError):
            send(url)
    faults.start()
    assert send(faults.url)[0] == 200


def test_a_server_that_stops_ends_what_hangs() -> None:
    with FaultServer() as server:
        server.script(CHAT, chat_stream("a", HANG))
        chunks = stream(server, "hello")
        next(chunks)
    with contextlib.suppress(Exception):  # which one is the affair of the client
        list(chunks)
    assert not server.requests[0].closed.is_set()


# --- nothing is left behind


def test_a_server_that_cannot_start_shows_its_log(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with (
        pytest.raises(RuntimeError, match="no such luck"),
        running([sys.executable, "-c", "exit('no such luck')"], log=log) as process,
    ):
        wait_until(lambda: False, process, log, seconds=10)


def test_servers_die_with_the_tests(tmp_path: Path) -> None:
    log = tmp_path / "log"
    server = "import os, time; print(os.getpid(), flush=True); time.sleep(60)"
    tests = (
        "import pathlib, sys, time; from tests.services.processes import running\n"
        f"with running([sys.executable, '-c', {server!r}], log=pathlib.Path({str(log)!r})):\n"
        "    time.sleep(60)"
    )
    root = Path(__file__).parents[2]
    with subprocess.Popen([sys.executable, "-c", tests], cwd=root) as process:
        eventually(lambda: log.exists() and log.read_text().endswith("\n"))
        process.send_signal(signal.SIGKILL)
    number = int(log.read_text())
    eventually(lambda: not alive(number))


def alive(number: int) -> bool:
    """Tell whether a process runs."""
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return False
    return True


def eventually(condition: Callable[[], bool]) -> None:
    """Wait until something is true."""
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)
