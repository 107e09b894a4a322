"""%%chat sends what was typed, as one running conversation, and says what is wrong in a line."""

from __future__ import annotations

import os
from typing import Any

import pytest

from cborg_magics.errors import CborgError
from tests.conftest import KEY
from tests.services.answers import Thought, chat_json, chat_stream, json_answer, usage
from tests.services.faults import FaultServer

TRICKY = [
    "What is the capital of France?",
    r"Explain $\frac{1}{2} m v^2$ and \(x\), please?",
    '{"a": {"b": [1, 2]}} {} {x} $x $PATH',
    "It's \"quoted\" and it's not closed",
    "100 % of them; # not a comment! ~/a*b?",
    "Grüße, 你好, 🎉 ünïcödé",
    "-5 + 3 = ?",
    r"a\tb\n and a trailing backslash is C:\temp",
    "!ls and %pwd and @x",
]


def sent(service: FaultServer) -> dict[str, Any]:
    """The body of the last question."""
    return dict(service.requests_to("/chat/completions")[-1].body)


def asked(service: FaultServer) -> str:
    """The last user message."""
    return str(sent(service)["messages"][-1]["content"])


def run(shell: Any, cell: str) -> Any:
    """Run a cell; its error, if it failed."""
    return shell.run_cell(cell).error_in_exec


@pytest.mark.parametrize("text", TRICKY)
def test_a_line_is_sent_as_typed(shell: Any, service: FaultServer, text: str) -> None:
    shell.user_ns["x"] = "a variable"
    assert run(shell, f"%chat {text}\n") is None
    assert asked(service) == text


@pytest.mark.parametrize(
    "text", [*TRICKY, "\n".join(TRICKY), "  indented\n\n    code\n", "x" * 200_000]
)
def test_a_cell_is_sent_as_typed(shell: Any, service: FaultServer, text: str) -> None:
    shell.user_ns["x"] = "a variable"
    assert run(shell, f"%%chat\n{text}\n") is None
    assert asked(service) == text


def test_a_line_inside_a_loop_is_sent_as_typed(shell: Any, service: FaultServer) -> None:
    assert run(shell, "for n in range(3):\n    %chat --once Why {n}?\n") is None
    assert [
        r.body["messages"][-1]["content"] for r in service.requests_to("/chat/completions")
    ] == ["Why {n}?"] * 3


def test_a_line_inside_a_string_is_no_magic(shell: Any, service: FaultServer) -> None:
    assert run(shell, 's = """\n%chat is this sent?\n"""\n') is None
    assert shell.user_ns["s"] == "\n%chat is this sent?\n"
    assert service.requests == []


def test_options_come_before_the_text(shell: Any, service: FaultServer) -> None:
    options = "-m lbl/x --temperature 0.5 --max-tokens=7 --reasoning-effort low"
    system = r'-s "Be \"very\" brief."'
    assert run(shell, f"%chat {options} {system} Why -m?\n") is None
    body = sent(service)
    assert (body["model"], body["temperature"], body["max_tokens"]) == ("lbl/x", 0.5, 7)
    assert body["reasoning_effort"] == "low"
    assert body["messages"] == [
        {"role": "system", "content": 'Be "very" brief.'},
        {"role": "user", "content": "Why -m?"},
    ]


def test_a_text_may_begin_with_a_dash_after_two_dashes(shell: Any, service: FaultServer) -> None:
    assert run(shell, "%chat -- --once is an option?\n") is None
    assert asked(service) == "--once is an option?"


@pytest.mark.parametrize(
    ("cell", "words"),
    [
        ("%chat --modle x hi", "Did you mean --model?"),
        ("%chat -z hi", "no option -z"),
        ("%chat -m", "a value is missing after -m"),
        ('%chat -s "never closed', "a quote is not closed after -s"),
        ("%chat --temperature hot hi", "'hot' is not between 0 and 2"),
        ("%chat --max-tokens 0 hi", "'0' is not a whole number above 0"),
        ("%chat --timeout never hi", "'never' is not a number of seconds above 0"),
        ("%chat --once=yes hi", "--once"),
        ("%chat", "nothing to ask"),
        ("%%chat\n   \n", "nothing to ask"),
        ("%%chat be brief\nhi", "the question goes below the first line"),
    ],
)
def test_a_mistake_in_the_line_is_said_and_nothing_is_sent(
    shell: Any, service: FaultServer, cell: str, words: str
) -> None:
    error = run(shell, cell)
    assert isinstance(error, CborgError)
    assert words in str(error)
    assert len(error._render_traceback_()) <= 2
    assert service.requests == []


def test_the_conversation_goes_on_from_call_to_call(shell: Any, service: FaultServer) -> None:
    service.script("/chat/completions", chat_stream("Par", "is."), chat_stream("Berlin."))
    run(shell, "%chat -s 'Be brief.' France?\n")
    run(shell, "%chat And Germany?\n")
    run(shell, "%chat And Italy?\n")
    assert [(m["role"], m["content"]) for m in sent(service)["messages"]] == [
        ("user", "France?"),
        ("assistant", "Paris."),
        ("user", "And Germany?"),
        ("assistant", "Berlin."),
        ("user", "And Italy?"),
    ]


def test_once_stands_alone_and_new_begins_again(shell: Any, service: FaultServer) -> None:
    run(shell, "%chat one\n")
    run(shell, "%chat --once two\n")
    assert len(sent(service)["messages"]) == 1
    run(shell, "%chat three\n")
    assert [m["content"] for m in sent(service)["messages"]] == ["one", "ok", "three"]
    run(shell, "%chat --new four\n")
    assert [m["content"] for m in sent(service)["messages"]] == ["four"]
    run(shell, "%chat five\n")
    assert [m["content"] for m in sent(service)["messages"]] == ["four", "ok", "five"]


def test_the_last_answer_can_be_shown_again_for_nothing(
    shell: Any, service: FaultServer, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "no answer yet" in str(run(shell, "%chat --last\n"))
    service.script(
        "/chat/completions", chat_stream(Thought("Hm."), "All of it.", usage=usage(9, 3))
    )
    run(shell, "%chat hi\n")
    shown = capsys.readouterr().out.splitlines()[-4:]
    assert run(shell, "%chat --last\n") is None
    assert capsys.readouterr().out.splitlines() == shown
    assert "takes no text" in str(run(shell, "%chat --last hi\n"))
    assert len(service.requests_to("/chat/completions")) == 1


def test_no_stream_asks_for_the_whole_answer(
    shell: Any, service: FaultServer, capsys: pytest.CaptureFixture[str]
) -> None:
    answer = chat_json("whole", usage=usage(3, 1), headers={"x-litellm-response-cost": "9e-05"})
    service.script("/chat/completions", answer)
    assert run(shell, "%chat --no-stream hi\n") is None
    assert sent(service)["stream"] is False
    assert "whole" in capsys.readouterr().out


def test_the_environment_sets_the_defaults(
    shell: Any, service: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CBORG_SYSTEM", "Speak French.")
    monkeypatch.setenv("CBORG_TEMPERATURE", "0")
    monkeypatch.setenv("CBORG_MAX_TOKENS", "99")
    run(shell, "%chat hi\n")
    body = sent(service)
    assert body["messages"][0] == {"role": "system", "content": "Speak French."}
    assert (body["temperature"], body["max_tokens"], body["model"]) == (0, 99, "test-model")


def test_a_setting_changed_in_a_cell_is_noticed_at_the_next_magic(
    shell: Any, service: FaultServer, capsys: pytest.CaptureFixture[str]
) -> None:
    key, url = os.environ["LITELLM_API_KEY"], os.environ["LITELLM_BASE_URL"]
    shell.run_cell("import os; os.environ['CBORG_PROVIDER'] = 'litellm'")
    shell.run_cell("del os.environ['LITELLM_API_KEY'], os.environ['LITELLM_BASE_URL']")
    assert "LITELLM_BASE_URL" in str(run(shell, "%chat hi\n"))
    shell.user_ns |= {"key": key, "url": url}
    shell.run_cell("os.environ |= {'LITELLM_API_KEY': key, 'LITELLM_BASE_URL': url}")
    assert run(shell, "%chat hi\n") is None
    out = capsys.readouterr().out
    assert "New settings are in use: the LITELLM key or address." in out
    assert KEY not in out


def test_the_badge_is_one_line_in_a_terminal(
    shell: Any, service: FaultServer, capsys: pytest.CaptureFixture[str]
) -> None:
    service.script(
        "/chat/completions", chat_stream("Hello.", usage={**usage(1024, 7, 896), "cost": 0.000678})
    )
    run(shell, "%chat hi\n")
    text, badge = capsys.readouterr().out.splitlines()[-2:]
    assert text == "Hello."
    assert badge.startswith(
        "[test-model · 1,024 tokens in (896 cached), 7 out · $0.000678 billed · "
    )


def test_a_model_cannot_move_the_cursor_of_a_terminal(
    shell: Any, service: FaultServer, capsys: pytest.CaptureFixture[str]
) -> None:
    service.script("/chat/completions", chat_stream("a\x1b]0;title\x07b", "\x1b[2Jc\rd"))
    run(shell, "%chat hi\n")
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert "\x07" not in out
    assert "\r" not in out


def completions(shell: Any, line: str) -> list[str]:
    """What Tab offers at the end of `line`."""
    found = shell.Completer.completions(line, len(line))
    return [completion.text for completion in found]


@pytest.mark.filterwarnings("ignore::IPython.core.completer.ProvisionalCompleterWarning")
def test_tab_completes_options_and_models(shell: Any, service: FaultServer) -> None:
    rows = [{"model_name": name} for name in ("lbl/cborg-chat", "lbl/cborg-coder:latest", "gpt-5")]
    service.always("/model/info", json_answer({"data": rows}))
    run(shell, "%chat hi\n")
    assert completions(shell, "%chat --te") == ["--temperature"]
    assert completions(shell, "%%chat --m") == ["--model", "--max-tokens"]
    assert completions(shell, "%chat -m lbl/c") == ["lbl/cborg-chat", "lbl/cborg-coder:latest"]
    assert completions(shell, "%%chat --model=lbl/cborg-coder:la") == ["lbl/cborg-coder:latest"]
    assert "--temperature" not in completions(shell, "x = 1; x.")


def test_help_is_the_manual(shell: Any, service: FaultServer, capsys: Any) -> None:
    for line in ("%chat --help\n", "%chat -h\n", "%chat?\n"):
        assert run(shell, line) is None
        assert "Ask a model." in capsys.readouterr().out
    assert service.requests == []


def test_the_manual_lists_every_option(shell: Any, capsys: pytest.CaptureFixture[str]) -> None:
    shell.run_cell("%chat?\n")
    manual = shell.find_line_magic("chat").getdoc()
    for option in ("--model", "--system", "--temperature", "--max-tokens", "--timeout"):
        assert option in manual
    for option in ("--no-stream", "--reasoning-effort", "--once", "--new"):
        assert option in manual
