"""The list of models: each name once, found by its name, kept on disk, never waited for long."""

from __future__ import annotations

import json
import stat
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import fields
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from cborg_magics import errors
from cborg_magics.catalogue import Catalogue, FetchedCatalogue, Kind, Model, Prices, kind_of
from cborg_magics.catalogue_file import CatalogueFile
from cborg_magics.exchange import Location
from cborg_magics.providers import cborg
from tests.services import catalogue_300

ADDRESS = "https://api.example.org"


@pytest.fixture(scope="module")
def long() -> Catalogue:
    """What CBorg's provider makes of 300 rows."""
    return Catalogue(tuple(cborg.read_models(lambda path: catalogue_300.answer())))


@pytest.fixture
def file(home: Path) -> CatalogueFile:
    return CatalogueFile(home, "litellm", ADDRESS)


def old(**age: float) -> Catalogue:
    return Catalogue((Model("kept"),), datetime.now(timezone.utc) - timedelta(**age))


def new() -> Catalogue:
    return Catalogue((Model("new"),))


# -- what is in it -------------------------------------------------------------------------


def test_each_name_is_there_once(long: Catalogue) -> None:
    names = [row["model_name"] for row in catalogue_300.rows()]
    assert len(names) == catalogue_300.ROWS
    assert long.names() == list(dict.fromkeys(names))
    assert sum(model.deployments for model in long.models) == len(names)


def test_what_deployments_disagree_on_is_not_known(long: Catalogue) -> None:
    sonnet = long.find("anthropic/claude-sonnet")
    assert sonnet is not None
    assert sonnet.deployments == 2
    assert sonnet.underlying is None
    assert sonnet.vision is None
    assert sonnet.prices == Prices(prompt=Decimal("0.000003")), "each price by itself"
    assert sonnet.location is Location.CLOUD, "both are, wherever"
    gpt = long.find("openai/gpt-4.1")
    assert gpt is not None
    assert gpt.kind is Kind.CHAT, "responses and chat are one kind"


def test_a_model_without_a_mode_is_for_chatting_unless_its_name_says_embed(long: Catalogue) -> None:
    embeddings = long.only(Kind.EMBEDDING)
    assert embeddings.names() == list(catalogue_300.EMBEDDINGS)
    assert [model.vector_size for model in embeddings.models] == [768, 3584, 768, 1536]
    assert {model.prices.completion for model in embeddings.models} == {0}, "they write nothing"
    others = {name: model.kind for name in catalogue_300.OTHERS if (model := long.find(name))}
    assert list(others.values()) == [Kind.IMAGE, Kind.AUDIO, Kind.AUDIO, Kind.OTHER, Kind.VIDEO]
    chat = long.find("lbl/cborg-chat")
    assert chat is not None
    assert chat.kind is Kind.CHAT


def test_a_kind_that_was_said_is_believed_before_one_that_was_guessed() -> None:
    rows = (Model("vectors", Kind.CHAT), Model("vectors", Kind.EMBEDDING))
    assert Catalogue(rows).models[0].kind is Kind.EMBEDDING
    assert kind_of("chat", "embed-chatter") is Kind.CHAT


def test_free_is_not_unpriced() -> None:
    assert Prices(Decimal(0), Decimal(0)).free
    assert not Prices().free
    assert not Prices(Decimal(0)).free


def test_where_a_model_runs_is_known_from_proof_alone(long: Catalogue) -> None:
    where = {model.name: model.location for model in long.models}
    assert where["lbl/cborg-coder"] is Location.ON_PREMISES
    assert where["lbl/gpt-oss-20b"] is Location.CLOUD
    assert where["lbl/nomic-embed-text"] is Location.UNKNOWN
    assert where["openai/gpt-4.1"] is Location.UNKNOWN, "one of two deployments has no proof"


def test_cborgs_own_names_bring_a_system_prompt(long: Catalogue) -> None:
    brings = {model.name for model in long.models if model.system}
    assert brings == {"lbl/cborg-chat", "lbl/cborg-coder", "lbl/cborg-vision"}
    assert {model.system for model in long.models} == {True, None}, "of the others nothing is said"


def test_other_names_of_the_same_model(long: Catalogue) -> None:
    chat, unsaid = long.find("lbl/cborg-chat"), long.find("anthropic/claude-sonnet")
    assert chat is not None
    assert unsaid is not None
    assert long.twins(chat) == ["lbl/cborg-coder"]
    assert long.twins(unsaid) == []


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("anthropic/claude-sonet", "anthropic/claude-sonnet"),
        ("claude-sonnet", "anthropic/claude-sonnet"),
        ("cborg-chat", "lbl/cborg-chat"),
        ("LBL/CBORG-CODER", "lbl/cborg-coder"),
        ("nomic-embed", "nomic-embed-text"),
    ],
)
def test_a_name_mistyped_finds_what_was_meant(long: Catalogue, typed: str, meant: str) -> None:
    assert long.find(typed) is None
    assert meant in long.suggest(typed)
    assert len(long.suggest(typed)) <= 3


def test_nothing_is_suggested_for_nonsense(long: Catalogue) -> None:
    assert long.suggest("qqqqqqqqqqqq") == []
    assert Catalogue().suggest("anything") == []


# -- on disk -------------------------------------------------------------------------------


def test_what_is_kept_comes_back_to_the_last_digit(long: Catalogue, file: CatalogueFile) -> None:
    assert file.read() is None
    file.write(long)
    assert file.read() == long
    found = file.read()
    assert found is not None
    odd = found.find("vendor1/model-1")
    assert odd is not None
    assert str(odd.prices.prompt) == "0.000024999999999999998"
    assert found.read_at == long.read_at


def test_every_field_of_a_model_is_kept(file: CatalogueFile) -> None:
    values: dict[str, Any] = {f.name: True for f in fields(Model)} | {
        "name": "a",
        "kind": Kind.AUDIO,
        "underlying": "b",
        "prices": Prices(Decimal("1e-7"), Decimal(0), None, Decimal("0.5")),
        "max_input_tokens": 1,
        "max_output_tokens": 2,
        "vector_size": 3,
        "deployments": 4,
        "parameters": frozenset({"seed", "stop"}),
        "location": Location.HERE,
    }
    file.write(Catalogue((Model(**values),)))
    found = file.read()
    assert found is not None
    assert found.models == (Model(**values),)


@pytest.mark.skipif(sys.platform == "win32", reason="no such permissions there")
def test_only_its_owner_can_read_the_file(file: CatalogueFile) -> None:
    file.write(new())
    file.write(new())
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.path.parent.stat().st_mode) == 0o700
    assert list(file.path.parent.iterdir()) == [file.path], "nothing half written stays"


def form(**changes: object) -> bytes:
    """The content of a file, but for what is changed."""
    right = {"version": 1, "address": ADDRESS, "read_at": "2026-11-21T00:00:00+00:00", "models": []}
    return json.dumps(right | changes).encode()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        form()[:-1],
        b"\xff\xfe",
        b"[]",
        b"null",
        b"{}",
        form(version=2),
        form(address="https://elsewhere.example.org"),
        form(read_at="2026-11-21T00:00:00"),  # of no time zone
        form(read_at=0),
        form(models=None),
        form(models=[{"kind": "chat"}]),
        form(models=[{"name": "a", "kind": "soup"}]),
        form(models=[{"name": ["a"]}]),
        form(models=[{"name": "a", "prices": {"prompt": "x"}}]),
        form(models=[{"name": "a", "of_a_later_release": True}]),
    ],
)
def test_a_file_that_is_not_ours_is_as_if_it_were_not_there(
    file: CatalogueFile, content: bytes
) -> None:
    file.path.parent.mkdir(parents=True)
    file.path.write_bytes(content)
    assert file.read() is None
    file.write(new())
    assert file.read() is not None


def test_each_service_has_a_file_of_its_own(home: Path) -> None:
    first = CatalogueFile(home, "litellm", "https://a.example.org/b")
    first.write(new())
    for provider, address in (
        ("cborg", first.address),
        ("litellm", "https://a.example.org"),
        ("litellm", "https://a.example.org:8443/b"),
        ("litellm", "http://a.example.org/b"),
    ):
        assert CatalogueFile(home, provider, address).read() is None, address
    assert first.path.name == "litellm-a.example.org_b.json"


def test_two_kernels_may_write_at_once(file: CatalogueFile, long: Catalogue) -> None:
    writers = [threading.Thread(target=file.write, args=(long,)) for _ in range(4)]
    for writer in writers:
        writer.start()
    while any(writer.is_alive() for writer in writers):
        assert file.read() in (None, long)
    assert file.read() == long


# -- in the background ---------------------------------------------------------------------


class Service:
    """Gives a list, or what it is told to."""

    def __init__(self, give: Callable[[], Catalogue] = new) -> None:
        self.asked = 0
        self.give = give

    def __call__(self) -> Catalogue:
        self.asked += 1
        return self.give()


def away() -> Catalogue:
    raise errors.Unreachable("cannot reach it")


def test_it_is_read_once_and_kept_for_an_hour(file: CatalogueFile) -> None:
    service = Service()
    fetched = FetchedCatalogue(service, lambda: file)
    for _ in range(3):
        fetched.begin()
        assert fetched.get(5) is not None
    assert service.asked == 1
    again = FetchedCatalogue(service, lambda: file)  # a new kernel
    again.begin()
    found = again.get(0)
    assert found is not None
    assert found.names() == ["new"]
    assert not found.stale
    assert service.asked == 1


def test_after_an_hour_it_is_read_anew(file: CatalogueFile) -> None:
    file.write(old(hours=2))
    fetched = FetchedCatalogue(Service(), lambda: file)
    fetched.begin()
    time.sleep(0.1)
    found = fetched.get(5)
    assert found is not None
    assert found.names() == ["new"]
    kept = file.read()
    assert kept is not None
    assert kept.names() == ["new"]


def test_where_the_service_is_away_the_kept_list_serves_and_its_age_is_told(
    file: CatalogueFile,
) -> None:
    file.write(old(days=3))
    fetched = FetchedCatalogue(Service(away), lambda: file)
    fetched.begin()
    found = fetched.get(5)
    assert found is not None
    assert found.names() == ["kept"]
    assert found.stale
    assert found.age.days == 3
    assert isinstance(fetched.problem, errors.Unreachable)


def test_where_the_service_is_slow_the_kept_list_serves_at_once(file: CatalogueFile) -> None:
    file.write(old(days=3))
    gate = threading.Event()

    def slowly() -> Catalogue:
        gate.wait(10)
        return new()

    fetched = FetchedCatalogue(Service(slowly), lambda: file)
    fetched.begin()
    began = time.monotonic()
    found = fetched.get(10)
    assert time.monotonic() - began < 8
    assert found is not None
    assert found.names() == ["kept"]
    gate.set()
    found = fetched.refresh(10)
    assert found is not None
    assert found.names() == ["new"]


def test_nobody_waits_longer_than_they_said() -> None:
    gate = threading.Event()

    def slowly() -> Catalogue:
        gate.wait(10)
        return new()

    fetched = FetchedCatalogue(Service(slowly))
    fetched.begin()
    began = time.monotonic()
    assert fetched.get(0.1) is None
    assert time.monotonic() - began < 8
    gate.set()
    assert fetched.get(10) is not None


def test_a_refresh_asks_even_if_the_list_is_fresh_and_says_what_went_wrong() -> None:
    service = Service()
    fetched = FetchedCatalogue(service)
    fetched.begin()
    fetched.get(5)
    fetched.refresh(5)
    assert (service.asked, fetched.problem) == (2, None)
    service.give = away
    found = fetched.refresh(5)
    assert found is not None
    assert found.names() == ["new"]
    assert isinstance(fetched.problem, errors.Unreachable)
    service.give = new
    fetched.refresh(5)
    assert fetched.problem is None


def test_a_service_that_was_away_is_asked_again() -> None:
    service = Service(away)
    fetched = FetchedCatalogue(service)
    fetched.begin()
    assert fetched.get(5) is None
    service.give = new
    fetched.begin()
    assert fetched.get(5) is not None


def test_a_place_that_cannot_be_written_costs_nothing(home: Path) -> None:
    home.write_text("a file where the folder should be")
    fetched = FetchedCatalogue(Service(), lambda: CatalogueFile(home, "litellm", ADDRESS))
    fetched.begin()
    assert fetched.get(5) is not None
    assert fetched.problem is None


def test_an_empty_list_does_not_take_the_place_of_a_good_one(file: CatalogueFile) -> None:
    file.write(old(days=3))
    fetched = FetchedCatalogue(Service(Catalogue), lambda: file)
    fetched.begin()
    fetched.get(5)
    kept = file.read()
    assert kept is not None
    assert kept.names() == ["kept"]


def test_no_key_is_in_the_file(file: CatalogueFile, long: Catalogue) -> None:
    file.write(long)
    said = json.loads(file.path.read_text())
    assert set(said) == {"version", "address", "read_at", "models"}
    names = {f.name for f in fields(Model)}
    assert all(set(model) <= names for model in said["models"])
