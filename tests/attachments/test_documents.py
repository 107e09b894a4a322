"""Tables, errors, code and data go along as text: readable, bounded, without keys."""

from __future__ import annotations

import dataclasses
import datetime
import enum
import functools
import json
import sys
import time
from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from IPython.core.interactiveshell import InteractiveShell

from cborg_magics.attachments import notebook
from cborg_magics.attachments.kinds import code, data, exception, table
from cborg_magics.attachments.place import Place
from cborg_magics.errors import BadAttachment, BadOption
from cborg_magics.exchange import Cost, Document, Location, Outcome, Reply, Source

KEY = "sk-abcdefgh1234"


def document(kind: Any, value: object, place: Place | None = None) -> Document:
    made = kind.make(value, "x", place or Place())
    assert made
    assert len(made) == 1
    assert isinstance(made[0], Document)
    return made[0]


class Hostile:
    """Nothing can be asked of it."""

    def __repr__(self) -> str:
        raise RuntimeError("no repr")

    __str__ = __repr__


# -- tables ----------------------------------------------------------------------------------


def test_a_small_table_is_sent_whole() -> None:
    frame = pd.DataFrame({"n": [1, 2], "word": ["a|b", None]}, index=["one", "two"])
    sent = document(table, frame)
    assert sent.language == "markdown"
    assert sent.note == "2 rows × 2 columns"
    assert sent.text.splitlines() == [
        "DataFrame, 2 rows × 2 columns",
        "",
        "| column | type | missing |",
        "| --- | --- | --- |",
        "| n | int64 | 0 |",
        f"| word | {frame['word'].dtype} | 1 |",
        "",
        "All rows:",
        "",
        "|  | n | word |",
        "| --- | --- | --- |",
        "| one | 1 | a\\|b |",
        f"| two | 2 | {frame['word'].iloc[1]} |",
    ]


def test_a_large_table_says_what_was_cut() -> None:
    frame = pd.DataFrame(np.zeros((1000, 300)))
    sent = document(table, frame)
    assert sent.note == "1,000 rows × 300 columns, first 20 sent, 50 columns of them"
    assert "First 20 of 1,000 rows, 50 of 300 columns:" in sent.text
    assert len(sent.text) < table.MOST_CHARACTERS


def test_wide_cells_leave_room_for_fewer_rows() -> None:
    frame = pd.DataFrame({f"{'name' * 50}{n}": ["long\n| " * 500] * 100 for n in range(50)})
    sent = document(table, frame)
    assert len(sent.text) < table.MOST_CHARACTERS
    assert sent.note.startswith("100 rows × 50 columns, first ")


def test_ten_million_rows_are_no_wait() -> None:
    frame = pd.DataFrame({"a": np.arange(10_000_000), "b": np.ones(10_000_000)})
    began = time.monotonic()
    sent = document(table, frame)
    assert time.monotonic() - began < 8
    assert "First 20 of 10,000,000 rows:" in sent.text


ODD: dict[str, Any] = {
    "empty": pd.DataFrame(),
    "no rows": pd.DataFrame({"a": np.zeros(0)}),
    "no columns": pd.DataFrame(index=[1, 2]),
    "same names twice": pd.DataFrame([[1, 2]], columns=["a", "a"]),
    "levels": pd.DataFrame(
        [[1, 2]],
        index=pd.MultiIndex.from_tuples([("x", 1)], names=["word", None]),
        columns=pd.MultiIndex.from_tuples([("a", 1), ("a", 2)]),
    ),
    "numbers for names": pd.DataFrame([[1, 2]], columns=[0, 1.5]),
    "times": pd.DataFrame({"t": pd.to_datetime(["2026-01-02", None])}),
    "categories": pd.DataFrame({"c": pd.Categorical(["a", None])}),
    "hostile": pd.DataFrame({"o": pd.Series([Hostile(), {"a": 1}], dtype=object)}),
    "series": pd.Series([1.5, float("nan")], name="s"),
    "series without a name": pd.Series([1]),
    "index": pd.Index(["a", "b"]),
    "levels alone": pd.MultiIndex.from_tuples([("x", 1)]),
}


@pytest.mark.parametrize("odd", ODD)
def test_an_odd_table_is_a_table(odd: str) -> None:
    sent = document(table, ODD[odd])
    lines = [line for line in sent.text.splitlines() if line.startswith("|")]
    assert all(line.endswith("|") for line in lines)


@pytest.mark.parametrize(
    ("odd", "words"),
    [
        ("levels", "| a, 1 | int64 | 0 |"),
        ("levels", "| x, 1 | 1 | 2 |"),
        ("times", "| 0 | 2026-01-02 00:00:00 |"),
        ("hostile", "<Hostile>"),
        ("series", "Series, 2 rows"),
        ("series", "| s | float64 | 1 |"),
        ("series without a name", "| value | int64 | 0 |"),
        ("no rows", "| a | float64 | 0 |"),
    ],
)
def test_an_odd_table_reads_well(odd: str, words: str) -> None:
    assert words in document(table, ODD[odd]).text


def test_a_table_is_sent_without_keys() -> None:
    assert KEY not in document(table, pd.DataFrame({"key": [KEY]})).text


def test_nothing_is_a_table_before_pandas_is_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "pandas")
    assert table.make(pd.DataFrame(), "x", Place()) is None
    assert "pandas" not in sys.modules
    assert table.make([1], "x", Place()) is None


# -- errors ----------------------------------------------------------------------------------


def raised(function: Any) -> BaseException:
    try:
        function()
    except BaseException as error:  # noqa: BLE001 - any of them can be sent
        return error
    raise AssertionError("it raised nothing")


def test_an_error_is_sent_with_its_causes_and_without_keys() -> None:
    def fail() -> None:
        try:
            raise KeyError("inner")
        except KeyError as error:
            raise ValueError(f"outer {KEY}") from error

    sent = document(exception, raised(fail))
    assert sent.language == "python-traceback"
    assert sent.note == "ValueError"
    assert "KeyError: 'inner'" in sent.text
    assert "The above exception was the direct cause" in sent.text
    assert sent.text.endswith("ValueError: outer [key]")


def test_an_error_in_a_cell_names_the_cell_and_shows_its_line(shell: InteractiveShell) -> None:
    shell.run_cell("def half(n):\n    return n / 0", store_history=True)
    result = shell.run_cell("x = 1\nhalf(x)", store_history=True)
    sent = document(exception, result.error_in_exec, notebook.place(shell))
    lines = [line.strip() for line in sent.text.splitlines() if set(line.strip()) - set("^~")]
    assert lines == [
        "Traceback (most recent call last):",
        "In[2], line 2, in <module>",
        "half(x)",
        "In[1], line 2, in half",
        "return n / 0",
        "ZeroDivisionError: division by zero",
    ]


def test_an_error_in_a_magic_keeps_the_way_to_it(shell: InteractiveShell) -> None:
    shell.run_cell("%%time\n1 / 0", store_history=True)
    sent = document(exception, sys.last_value, notebook.place(shell))
    assert "IPython/core" not in sent.text
    assert sent.text.endswith("ZeroDivisionError: division by zero")


def test_a_syntax_error_shows_where(shell: InteractiveShell) -> None:
    result = shell.run_cell("x = 1\ny = (2", store_history=True)
    sent = document(exception, result.error_before_exec, notebook.place(shell))
    assert "In[1], line 2" in sent.text
    assert "y = (2" in sent.text
    assert "IPython" not in sent.text
    assert sent.note == "SyntaxError"


def test_our_own_frames_are_left_out() -> None:
    # A fault in what the user gave us: the way through our own files tells nobody anything.
    class Strange(dict[str, object]):
        def items(self) -> Any:
            raise ValueError("the user's own")

    sent = document(exception, raised(lambda: data.make(Strange(a=1), "x", Place())))
    assert "cborg_magics/attachments" not in sent.text
    assert sent.text.endswith("ValueError: the user's own")


def test_a_long_error_keeps_its_head_and_more_of_its_tail() -> None:
    sent = document(exception, ValueError("start " + "x" * 100_000 + " end"))
    assert len(sent.text) < exception.MOST_CHARACTERS + 100
    assert sent.text.startswith("ValueError: start")
    assert sent.text.endswith(" end")
    assert "characters are left out here" in sent.text


def test_endless_recursion_is_no_trouble() -> None:
    def one(n: int) -> None:
        two(n)

    def two(n: int) -> None:
        one(n)

    sent = document(exception, raised(lambda: one(1)))
    assert len(sent.text) < exception.MOST_CHARACTERS + 100
    assert "RecursionError" in sent.text


@pytest.mark.skipif(sys.version_info < (3, 11), reason="groups came with Python 3.11")
def test_a_group_shows_its_errors() -> None:
    group = ExceptionGroup("both", [ValueError("one"), KeyError("two")])  # noqa: F821
    text = document(exception, group).text
    assert "ValueError: one" in text
    assert "KeyError: 'two'" in text


@pytest.mark.parametrize("error", [KeyboardInterrupt(), BadOption("ours"), ValueError(Hostile())])
def test_any_error_can_be_sent(error: BaseException) -> None:
    assert type(error).__name__ in document(exception, error).text


def test_no_error_is_no_error() -> None:
    assert exception.make(ValueError, "x", Place()) is None


# -- code ------------------------------------------------------------------------------------


def decorated(function: Any) -> Any:
    @functools.wraps(function)
    def wrapper() -> Any:
        return function()

    return wrapper


def plain() -> str:
    return "plain body"


class Kept:
    def method(self) -> str:
        return "method body"

    @property
    def figure(self) -> str:
        return "property body"


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (plain, "plain body"),
        (decorated(plain), "plain body"),
        (functools.partial(plain), "plain body"),
        (functools.lru_cache(plain), "plain body"),
        (Kept, "class Kept:"),
        (Kept.method, "method body"),
        (Kept().method, "method body"),
        (Kept.figure, "property body"),
        (lambda: "lambda body", "lambda body"),
        (json, "JavaScript Object Notation"),
    ],
)
def test_code_is_sent_as_its_source(value: object, words: str) -> None:
    sent = document(code, value)
    assert sent.language == "python"
    assert words in sent.text


@pytest.mark.parametrize("value", [len, int, ValueError, sys, np.linalg.norm.__class__])
def test_what_has_no_source_is_one_line(value: object) -> None:
    with pytest.raises(BadAttachment, match="x has no Python source"):
        code.make(value, "x", Place())


@pytest.mark.parametrize("value", [1, "def f(): pass", SimpleNamespace(), Hostile(), [plain]])
def test_what_is_no_code_is_left_to_others(value: object) -> None:
    assert code.make(value, "x", Place()) is None


def test_what_a_cell_defines_has_a_source(shell: InteractiveShell) -> None:
    shell.run_cell(f"def f():\n    return '{KEY}'\n", store_history=True)
    shell.run_cell("class Old:\n    x = 1\n", store_history=True)
    shell.run_cell(
        "import dataclasses\n@dataclasses.dataclass\nclass Old:\n    x: int = 2\n"
        "    class Inner:\n        pass\n",
        store_history=True,
    )
    place = notebook.place(shell)
    space = shell.user_ns
    assert document(code, space["f"], place).text == "def f():\n    return '[key]'"
    assert document(code, space["Old"], place).text == (
        "@dataclasses.dataclass\nclass Old:\n    x: int = 2\n    class Inner:\n        pass"
    )
    assert document(code, space["Old"].Inner, place).text == "class Inner:\n    pass"
    shell.run_cell("exec('class Nowhere: pass')", store_history=True)
    with pytest.raises(BadAttachment, match="x has no Python source"):
        code.make(space["Nowhere"], "x", place)


# -- data ------------------------------------------------------------------------------------


class Colour(enum.Enum):
    RED = "red"


@dataclasses.dataclass
class Point:
    x: int
    when: datetime.date
    secret: str = dataclasses.field(default=KEY, repr=False)


@pytest.mark.parametrize(
    ("value", "read"),
    [
        (None, None),
        (True, True),
        (1.5, 1.5),
        (Decimal("1.50"), "1.50"),
        ([1, "zwei", None], [1, "zwei", None]),
        ((1, [2, {"a": []}], {}), [1, [2, {"a": []}], {}]),
        ({3, 1, 2}, [1, 2, 3]),
        ({1: "a", (1, 2): "b", None: "c"}, {"1": "a", "(1, 2)": "b", "null": "c"}),
        (Point(1, datetime.date(2026, 1, 2)), {"x": 1, "when": "2026-01-02"}),
        ([Colour.RED, Path("a"), datetime.timedelta(1)], ["red", "a", "1 day, 0:00:00"]),
        (
            {"a": np.int64(3), "b": np.arange(3), "c": np.float64(0.5), "d": np.eye(2)},
            {"a": 3, "b": [0, 1, 2], "c": 0.5, "d": [[1.0, 0.0], [0.0, 1.0]]},
        ),
        (
            {"a": Hostile(), "b": SimpleNamespace(c=1), "d": 2},
            {"a": "<Hostile>", "b": "namespace(c=1)", "d": 2},
        ),
        ("é\n", "é\n"),
        ([10**30], [10**30]),
    ],
)
def test_data_is_sent_as_json(value: object, read: object) -> None:
    sent = document(data, value)
    assert sent.language == "json"
    assert json.loads(sent.text) == read


def test_numbers_stay_on_one_line_and_depth_is_indented() -> None:
    assert document(data, {"a": [1, 2], "b": {"c": None}}).text == (
        '{\n  "a": [1, 2],\n  "b": {\n    "c": null\n  }\n}'
    )


def test_pydantic_models_are_data() -> None:
    from pydantic import BaseModel, SecretStr

    class Model(BaseModel):
        name: str
        key: SecretStr

    sent = document(data, [Model(name="a", key=SecretStr("hidden words"))])
    assert json.loads(sent.text)[0]["name"] == "a"
    assert "hidden words" not in sent.text


@pytest.mark.parametrize(
    "value",
    [
        list(range(10_000_000)),
        {str(n): {"a": n} for n in range(100_000)},
        np.arange(10_000_000),
        "x" * 10_000_000,
        ["x" * 10_000_000],
    ],
    ids=["list", "dict", "array", "text", "text in a list"],
)
def test_large_data_is_cut_at_once_and_says_so(value: object) -> None:
    began = time.monotonic()
    sent = document(data, value)
    assert time.monotonic() - began < 8
    assert sent.note == "first 20,000 characters"
    assert sent.text.endswith("... cut here: first 20,000 characters")
    assert len(sent.text) < data.MOST_CHARACTERS + 100


def test_a_value_that_contains_itself_is_one_line() -> None:
    endless: list[object] = [1]
    endless.append({"again": endless})
    with pytest.raises(BadAttachment, match="x contains itself"):
        data.make(endless, "x", Place())
    shared = [1]
    assert json.loads(document(data, [shared, shared]).text) == [[1], [1]]


def test_a_value_that_is_nested_deeply_is_cut() -> None:
    deep: list[object] = []
    for _ in range(100_000):
        deep = [deep]
    assert document(data, deep).note == "first 20,000 characters"


def test_a_huge_number_is_described() -> None:
    assert "bits" in document(data, 10**10_000).text


def test_data_is_sent_without_keys() -> None:
    assert KEY not in document(data, {"key": KEY, KEY: 1}).text


def test_a_mapping_of_a_library_is_sent_as_it_describes_itself() -> None:
    class Dataset(Mapping[str, int]):
        def __getitem__(self, key: str) -> int:
            raise AssertionError("the file was read")

        def __iter__(self) -> Iterator[str]:
            return iter("ab")

        def __len__(self) -> int:
            return 2

        def __repr__(self) -> str:
            return "<Dataset of a and b>"

    assert document(data, Dataset()).text == "<Dataset of a and b>"


def test_an_answer_is_sent_as_its_text() -> None:
    now = datetime.datetime.now(datetime.timezone.utc)
    reply = Reply(
        text="# An answer",
        reasoning="",
        provider="local",
        host="",
        model="m",
        served=None,
        location=Location.HERE,
        outcome=Outcome.COMPLETED,
        finish_reason=None,
        usage=None,
        cost=Cost(None, Source.UNKNOWN),
        started=now,
        first_text=None,
        seconds=1.0,
        call_id=None,
    )
    sent = document(data, reply)
    assert (sent.text, sent.language) == ("# An answer", "markdown")


def test_an_object_that_describes_itself_is_sent_as_that() -> None:
    sent = document(data, SimpleNamespace(a=1))
    assert (sent.text, sent.language) == ("namespace(a=1)", "text")


@pytest.mark.parametrize("value", [object(), Hostile(), iter([]), b"bytes"])
def test_an_object_that_says_nothing_is_left(value: object) -> None:
    assert data.make(value, "x", Place()) is None


def test_a_list_of_tables_is_one_attachment_each() -> None:
    frame = pd.DataFrame({"a": [1]})
    for value, names in (
        ([frame, frame], ["x[0]", "x[1]"]),
        ({"a": frame, "b": plain}, ["x['a']", "x['b']"]),
    ):
        made = data.make(value, "x", Place())
        assert made
        assert [each.name for each in made] == names
    with pytest.raises(BadAttachment, match="x has 51 items; up to 50"):
        data.make([frame] * 51, "x", Place())
