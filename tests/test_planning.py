"""A question goes with as much of its thread as the model takes, to a model that can do it."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from cborg_magics.catalogue import Catalogue, Model, Prices
from cborg_magics.conversation import Turn
from cborg_magics.errors import BadAttachment, NotAllowed
from cborg_magics.exchange import Document, Location, Message, Picture
from cborg_magics.planning import Plan, Question, plan
from cborg_magics.providers.cborg import CBORG
from cborg_magics.providers.litellm import LITELLM
from cborg_magics.providers.provider import Provider
from cborg_magics.settings import Settings
from tests.test_conversation import REPLY

PICTURE = Picture("fig", "image/png", b"x" * 100, size=(750, 1000))  # about 1,000 tokens


def turn(question: str, answer: str, *attachments: Any) -> Turn:
    return Turn(Message("user", question, attachments), replace(REPLY, text=answer))


def planned(
    question: Question,
    *history: Turn,
    models: tuple[Model, ...] = (),
    provider: Provider = LITELLM,
    **variables: str,
) -> Plan:
    settings = Settings.read({"CBORG_CONTEXT_TOKENS": "10000", **variables})
    catalogue = Catalogue(models)
    return plan(question, history, settings, provider, lambda: "usual", lambda wait: catalogue)


def said(planned: Plan) -> list[str]:
    return [message.content for message in planned.request.messages]


def test_the_whole_thread_goes_along_while_it_fits() -> None:
    made = planned(Question("c", system="be brief"), turn("a", "A"), turn("b", "B"))
    assert said(made) == ["be brief", "a", "A", "b", "B", "c"]
    assert made.notes == []


def test_the_oldest_turns_are_left_out_and_it_is_said() -> None:
    long = "word " * 2000  # 2,500 tokens
    made = planned(Question("now", max_tokens=1000), *(turn(str(n), long) for n in range(5)))
    assert said(made)[0::2][:-1] == ["2", "3", "4"][-len(made.history) :]
    assert made.left_out == 5 - len(made.history) > 0
    assert "oldest turns of main" in made.notes[0]
    assert "10,000 tokens" in made.notes[0]


def test_the_models_own_window_counts_before_the_setting() -> None:
    model = Model("usual", max_input_tokens=100)
    made = planned(Question("now"), turn("a", "word " * 100), turn("b", "B"), models=(model,))
    assert said(made) == ["b", "B", "now"]


def test_a_thread_too_long_never_keeps_a_question_from_being_asked() -> None:
    made = planned(Question("word " * 20_000), turn("a", "A"))
    assert len(made.request.messages) == 1


def test_pictures_of_earlier_turns_are_sent_again_while_they_fit() -> None:
    made = planned(Question("and now?"), turn("see", "yes", PICTURE))
    assert made.request.messages[0].attachments == (PICTURE,)
    several = [turn(str(n), "yes", PICTURE) for n in range(20)]
    made = planned(Question("and now?", max_tokens=100), *several)
    kept = [bool(m.attachments) for m in made.request.messages if m.role == "user"][:-1]
    assert made.left_out == 0
    assert kept == sorted(kept), "the newest are kept"
    assert 0 < sum(kept) < 20
    assert made.unsent == 20 - sum(kept)
    assert "[not shown again: fig]" in said(made)[0]
    assert "Not sent again: " in made.notes[0]


def test_documents_of_earlier_turns_stay_with_them() -> None:
    document = Document("df", "a table")
    made = planned(Question("and now?"), turn("see", "yes", document, PICTURE))
    assert document in made.request.messages[0].attachments


def test_pictures_go_to_the_vision_model_unless_another_is_named() -> None:
    seeing = Question("what is it?", (PICTURE,))
    assert planned(seeing, provider=CBORG).request.model == "lbl/cborg-vision"
    assert planned(seeing, provider=CBORG, CBORG_VISION_MODEL="v").request.model == "v"
    assert planned(replace(seeing, model="mine"), provider=CBORG).request.model == "mine"
    assert planned(Question("text"), provider=CBORG).request.model == "usual"
    assert planned(seeing, provider=LITELLM).request.model == "usual"


def test_a_question_about_an_earlier_picture_goes_to_the_vision_model_too() -> None:
    made = planned(Question("and left?"), turn("see", "yes", PICTURE), provider=CBORG)
    assert made.request.model == "lbl/cborg-vision"


def test_a_model_that_cannot_see_is_refused_before_anything_is_sent() -> None:
    models = (Model("blind", vision=False), Model("able", vision=True), Model("unsaid"))
    with pytest.raises(BadAttachment, match=r"blind cannot see pictures[^\n]*\n.*-m able\."):
        planned(Question("?", (PICTURE,), model="blind"), models=models)
    assert planned(Question("?", (PICTURE,), model="unsaid"), models=models).unsent == 0


def test_a_blind_model_asked_later_gets_the_thread_without_its_pictures() -> None:
    blind = Model("blind", vision=False)
    made = planned(Question("?", model="blind"), turn("see", "yes", PICTURE), models=(blind,))
    assert not any(message.attachments for message in made.request.messages)
    assert made.unsent == 1


@pytest.mark.parametrize("name", ["anthropic/claude-sonnet", "house"])
def test_a_prompt_is_marked_for_keeping_where_anthropic_answers(name: str) -> None:
    models = (Model("house", underlying="bedrock/anthropic.claude"), Model("gpt-5"))
    kept = Question("?", system="long", cache_prompt=True, model=name)
    assert planned(kept, models=models).request.messages[0].cached
    other = replace(kept, model="gpt-5")
    assert not planned(other, models=models).request.messages[0].cached


def test_where_nothing_may_leave_a_model_must_be_proved_on_premises() -> None:
    here = Model("here", location=Location.ON_PREMISES)
    models = (here, Model("cloud", location=Location.CLOUD), Model("lbl/unsaid"))
    rule = {"CBORG_ON_PREM_ONLY": "1"}
    assert planned(Question("?", model="here"), models=models, **rule)
    for name in ("cloud", "lbl/unsaid", "never-heard-of"):
        with pytest.raises(NotAllowed, match=f"{name} is not proved"):
            planned(Question("?", model=name), models=models, **rule)


def test_only_models_on_the_list_are_asked_whoever_chose_them() -> None:
    rule = {"CBORG_ALLOWED_MODELS": "us*,lbl/cborg-chat"}
    assert planned(Question("?"), **rule).request.model == "usual"
    with pytest.raises(
        NotAllowed, match=r"^other is not among[^\n]*\nAllowed: us\*, lbl/cborg-chat"
    ):
        planned(Question("?", model="other"), **rule)
    with pytest.raises(NotAllowed, match="lbl/cborg-vision is not among"):
        planned(Question("what is it?", (PICTURE,)), provider=CBORG, **rule)


def test_prices_of_tokens_kept_for_the_next_call_are_their_own() -> None:
    from cborg_magics.exchange import Usage
    from cborg_magics.pricing import price_of

    prices = Prices(*map(Decimal, ("3e-6", "15e-6", "3e-7", "3.75e-6")))
    cost = price_of(Usage(2000, 0, cached=0, written=1000), None, prices)
    assert cost.dollars == Decimal("0.00675")
