"""A plain OpenAI-compatible server: its list says what it can, and no price is made up."""

from __future__ import annotations

from pathlib import Path

import pytest

from cborg_magics.catalogue import Kind
from cborg_magics.exchange import Location, Source
from cborg_magics.session import Session
from cborg_magics.settings import Settings
from tests.services.plain import KEY, MODEL, WINDOW, Plain


@pytest.mark.parametrize(
    ("kind", "window", "vision"),
    [("vllm", WINDOW, None), ("llama.cpp", WINDOW, False), ("ollama", None, None)],
)
def test_what_the_list_says_of_a_model(
    kind: str, window: int | None, vision: bool | None, home: Path
) -> None:
    with Plain(kind) as server, connect(server, home) as session:
        model = session.client.models()[0]
        reply = session.chat("hi", once=True)
    assert (model.name, model.kind) == (MODEL, Kind.CHAT)
    assert model.max_input_tokens == window
    assert model.vision is vision
    assert model.vector_size is None
    assert model.location is Location.UNKNOWN, "a server on this machine may ask another one"
    assert (model.prices.prompt, reply.cost.source) == (None, Source.UNKNOWN)


def test_an_embedding_models_window_and_vector(home: Path) -> None:
    with Plain("llama.cpp") as server, connect(server, home) as session:
        model = session.client.models()[1]
    assert model.kind is Kind.EMBEDDING
    assert (model.max_input_tokens, model.vector_size) == (2048, 768)


def test_llama_cpp_itself_answers_as_the_stand_in_does(home: Path) -> None:
    with Session(Settings.read({"CBORG_HOME": str(home)})) as session:
        (row,) = session.client.get("/v1/models")["data"]
    assert row["id"] == "smollm2-135m"
    assert row["architecture"]["input_modalities"] == ["text"]
    assert (row["meta"]["n_ctx"], row["meta"]["n_ctx_train"]) == (4096, 8192)
    assert row["meta"]["n_embd"] == 576


def connect(server: Plain, home: Path) -> Session:
    variables = {"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": f"{server.url}/v1"}
    return Session(Settings.read({**variables, "CBORG_MODEL": MODEL, "CBORG_HOME": str(home)}))
