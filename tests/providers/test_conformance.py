"""Every provider keeps the same promises, each shown on a server of its kind.

CBorg and LiteLLM: the real LiteLLM proxy. LLMBase and the plain server: stand-ins that keep to
the public documentation. Local: the embedded model itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from cborg_magics import errors
from cborg_magics.catalogue import Kind
from cborg_magics.exchange import Location, Outcome, Source, Text
from cborg_magics.providers import PROVIDERS
from cborg_magics.session import Session
from cborg_magics.settings import Settings
from tests.services import llmbase, plain

WRONG_KEY = "sk-wrong-0123456789abcdef"
PROXY = ("anthropic/claude-sonnet", "lbl/cborg-chat", "nomic-embed-text")


@dataclass(frozen=True)
class Subject:
    """A provider on a server of its kind, and what is known of that server."""

    name: str
    environ: Mapping[str, str]
    models: tuple[str, ...]  # some that it has; the first is asked
    typo: str | None  # of the first; None: it answers to every name
    key_variable: str | None
    sources: frozenset[Source]  # how the cost of a call may be known
    proved: Mapping[str, Location] = field(default_factory=dict)  # all others are unknown
    wrong_key: str = WRONG_KEY
    kinds: Mapping[str, Kind] = field(default_factory=dict)
    long: str = "!tokens 200 0.02"

    def session(self, **changes: str) -> Session:
        return Session(Settings.read({**self.environ, "CBORG_MAX_WAIT": "1", **changes}))


KNOWN = frozenset({Source.BILLED, Source.ESTIMATED})


def _subject(name: str, request: pytest.FixtureRequest, stack: ExitStack) -> Subject:
    if name in ("cborg", "litellm"):
        proxy = request.getfixturevalue("proxy")
        on_premises = {"lbl/cborg-deepthought": Location.ON_PREMISES} if name == "cborg" else {}
        return Subject(
            name,
            {
                f"{name.upper()}_API_KEY": proxy.master_key,
                f"{name.upper()}_BASE_URL": proxy.url,
                "CBORG_PROVIDER": name,
            },
            PROXY,
            "anthropic/claude-sonet",
            f"{name.upper()}_API_KEY",
            KNOWN,
            on_premises,
            kinds={"nomic-embed-text": Kind.EMBEDDING},
        )
    if name == "llmbase":
        server = stack.enter_context(llmbase.LLMBase())
        names = tuple(model[0] for model in llmbase.MODELS)
        return Subject(
            name,
            {"LLMBASE_API_KEY": llmbase.KEY, "LLMBASE_BASE_URL": server.url},
            names,
            "deepseek/deepseek-v4-flesh",
            "LLMBASE_API_KEY",
            frozenset({Source.ESTIMATED}),
            dict.fromkeys(names, Location.CLOUD),
            wrong_key="llmbase_wrong_0123456789",
        )
    if name == "openai":
        vllm = stack.enter_context(plain.Plain())
        return Subject(
            name,
            {"OPENAI_API_KEY": plain.KEY, "OPENAI_BASE_URL": f"{vllm.url}/v1"},
            (plain.MODEL,),
            "meta-llama/Llama-3.3-70B-Instrukt",
            "OPENAI_API_KEY",
            frozenset({Source.UNKNOWN}),
        )
    return Subject(
        name,
        {},
        ("smollm2-135m", "use-multilingual-v3"),
        None,
        None,
        frozenset({Source.FREE}),
        {"smollm2-135m": Location.HERE, "use-multilingual-v3": Location.HERE},
        kinds={"use-multilingual-v3": Kind.EMBEDDING},
        long="Write a long story.",
    )


@pytest.fixture(params=[provider.name for provider in PROVIDERS])
def subject(request: pytest.FixtureRequest, home: Path) -> Iterator[Subject]:
    with ExitStack() as stack:
        found = _subject(request.param, request, stack)
        yield Subject(**{**vars(found), "environ": {**found.environ, "CBORG_HOME": str(home)}})


@pytest.fixture
def session(subject: Subject) -> Iterator[Session]:
    with subject.session(CBORG_MODEL=subject.models[0]) as session:
        yield session


def test_the_environment_leads_to_it(subject: Subject, session: Session) -> None:
    assert session.service.provider.name == subject.name


def test_its_models_are_listed_with_their_kinds(subject: Subject, session: Session) -> None:
    catalogue = session.catalogue(wait=20)
    assert catalogue is not None
    assert not catalogue.stale
    assert set(subject.models) <= set(catalogue.names())
    for model in catalogue.models:
        assert model.kind is subject.kinds.get(model.name, Kind.CHAT), model.name
        assert model.deployments == 1


def test_where_a_model_runs_is_claimed_on_proof_alone(subject: Subject, session: Session) -> None:
    catalogue = session.catalogue(wait=20)
    assert catalogue is not None
    for model in catalogue.models:
        assert model.location is subject.proved.get(model.name, Location.UNKNOWN), model.name


@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
def test_a_question_is_answered(subject: Subject, session: Session, stream: bool) -> None:
    session.catalogue(wait=20)
    heard: list[Any] = []
    reply = session.chat(
        "What is the capital of France?", stream=stream, once=True, on_event=heard.append
    )
    assert reply.outcome is Outcome.COMPLETED
    assert "France" in reply.text
    assert "".join(event.text for event in heard if isinstance(event, Text)) == reply.text
    assert (sum(isinstance(event, Text) for event in heard) > 1) is stream
    assert (reply.provider, reply.model) == (subject.name, subject.models[0])
    assert reply.location is subject.proved.get(subject.models[0], Location.UNKNOWN)


@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
def test_tokens_are_counted_and_no_cost_is_made_up(
    subject: Subject, session: Session, stream: bool
) -> None:
    session.catalogue(wait=20)
    reply = session.chat("What is the capital of France?", stream=stream, once=True)
    assert reply.usage is not None
    assert reply.usage.counted
    assert reply.usage.prompt > 0
    assert reply.usage.completion > 0
    assert reply.cost.source in subject.sources
    assert (reply.cost.dollars is None) is (reply.cost.source is Source.UNKNOWN)
    if reply.cost.source in KNOWN:
        assert reply.cost.dollars is not None
        assert 0 < reply.cost.dollars < Decimal("0.01")


def test_an_unknown_model_is_refused_with_the_nearest_name(
    subject: Subject, session: Session
) -> None:
    if subject.typo is None:
        assert session.chat("What is the capital of France?", model="no/such", once=True).text
        return
    with pytest.raises(errors.UnknownModel) as caught:
        session.chat("hi", model=subject.typo, once=True)
    assert f"Did you mean {subject.models[0]}" in str(caught.value)
    assert session.ledger.rows()[-1].cost.dollars == 0


def test_a_wrong_key_is_told_as_one(subject: Subject) -> None:
    if subject.key_variable is None:
        return  # it has none
    changes = {subject.key_variable: subject.wrong_key, "CBORG_MODEL": subject.models[0]}
    with subject.session(**changes) as session, pytest.raises(errors.KeyRefused) as caught:
        session.chat("hi", once=True)
    assert subject.key_variable in str(caught.value)
    assert subject.wrong_key not in str(caught.value)


def test_what_had_come_of_a_stopped_answer_is_kept(subject: Subject, session: Session) -> None:
    heard: list[Any] = []

    def stop(event: Any) -> None:
        heard.append(event)
        if sum(isinstance(event, Text) for event in heard) == 5:
            raise KeyboardInterrupt

    with pytest.raises(errors.Interrupted) as caught:
        session.chat(subject.long, once=True, on_event=stop)
    reply = caught.value.reply
    assert reply is not None
    assert reply.outcome is Outcome.INTERRUPTED
    assert reply.text == "".join(event.text for event in heard if isinstance(event, Text)) != ""
    assert session.ledger.rows()[-1].outcome is Outcome.INTERRUPTED


def test_the_account_is_read_without_a_fuss(subject: Subject, session: Session) -> None:
    account = session.client.account()
    assert account.credit == (Decimal("12.50") if subject.name == "llmbase" else None)
    assert account.budgets == (), "a proxy without a database knows of none"


def test_the_key_of_an_account_that_cannot_be_read_is_no_error(subject: Subject) -> None:
    if subject.key_variable is None:
        return
    with subject.session(**{subject.key_variable: subject.wrong_key}) as session:
        assert session.client.account().budgets == ()
