"""Each thing that goes wrong has a class, a few plain lines, and no key in them."""

from __future__ import annotations

from typing import Any

import pytest

from cborg_magics import errors
from cborg_magics.exchange import Outcome
from cborg_magics.ledger import Ledger
from cborg_magics.providers.client import Client
from cborg_magics.session import Session
from tests.conftest import KEY
from tests.services.answers import CUT, Answer, chat_stream, cloudflare, html, json_answer, redirect
from tests.services.answers import refusal as refused
from tests.services.faults import FaultServer

HASH = "88dc28d0f030c55ed4ab77ed8faf098196cb1c05df778539800c9f1243fe6b4b"
LITELLM_401 = (
    f"Authentication Error, Invalid proxy server token passed. Received API Key = {KEY},"
    f" Key Hash (Token) ={HASH}. Unable to find token in cache or `LiteLLM_VerificationTokenTable`"
)
BUDGET = (
    "Budget has been exceeded! Key=mine (sk-...dget) Current cost: 0.000132, Max budget: 0.0001"
)
WINDOW = "litellm.ContextWindowExceededError: litellm.BadRequestError: ... 9000 tokens."
POLICY = "litellm.BadRequestError: litellm.ContentPolicyViolationError: rejected by safety system"

CASES: list[tuple[type[errors.CborgError], Answer]] = [
    (errors.KeyRefused, refused(401, "token_not_found_in_db", LITELLM_401)),
    (errors.KeyRefused, refused(401, "auth_error", "Authentication Error, Key is blocked.")),
    (errors.KeyRefused, refused(401, "invalid_request_error", "no", code="invalid_api_key")),
    (errors.KeyRefused, refused(400, "no_db_connection", "No connected db.")),
    (errors.KeyExpired, refused(401, "expired_key", "Authentication Error - Expired Key.")),
    (errors.KeyExpired, refused(400, "expired_key", "Authentication Error - Expired Key.")),
    (errors.ModelNotAllowed, refused(403, "key_model_access_denied", "key not allowed")),
    (errors.ModelNotAllowed, refused(401, "key_model_access_denied", "key not allowed")),
    (errors.UnknownModel, refused(400, "invalid_request_error", "Invalid model name passed")),
    (errors.UnknownModel, refused(400, "None", "{'error': 'Invalid model name passed'}")),
    (errors.UnknownModel, refused(404, "invalid_request_error", "no", code="model_not_found")),
    (errors.BudgetSpent, refused(422, "budget_exceeded", BUDGET)),
    (errors.BudgetSpent, refused(400, "budget_exceeded", BUDGET)),
    (errors.BudgetSpent, refused(429, "budget_exceeded", BUDGET, {"retry-after": "60"})),
    (errors.OutOfCredit, refused(402, "quota_exceeded", "no credit")),
    (errors.TooLong, refused(400, "invalid_request_error", WINDOW)),
    (errors.TooLong, refused(400, "invalid_request_error", "x", code="context_length_exceeded")),
    (errors.TooLong, refused(413, None, "too large")),
    (errors.PolicyRefusal, refused(400, "invalid_request_error", POLICY)),
    (errors.NotTheApi, cloudflare(403)),
    (errors.NotTheApi, html(200, "<html>Sign in</html>")),
    (errors.NotTheApi, json_answer({"hello": "world"})),
    (errors.Refused, refused(422, "invalid_request_error", "temperature is odd")),
    (errors.Refused, json_answer({"detail": [{"msg": "field required"}]}, 422)),
]
RETRIED: list[tuple[type[errors.CborgError], Answer]] = [
    (errors.Busy, refused(429, "throttling_error", "slow down", {"retry-after": "3600"})),
    (errors.Unavailable, refused(500, "internal_server_error", "Connection error.")),
    (errors.Unavailable, refused(529, None, "overloaded")),
    (errors.Unavailable, refused(408, "invalid_request_error", "litellm.Timeout: slow")),
    (errors.Unavailable, cloudflare(503)),
]


def fail(shell: Any, cell: str = "%chat hi\n") -> Any:
    error = shell.run_cell(cell).error_in_exec
    assert error is not None
    return error


@pytest.fixture
def models(service: FaultServer) -> FaultServer:
    """A service that lists one model, near to the one that is asked for."""
    service.always("/model/info", json_answer({"data": [{"model_name": "test-modell"}]}))
    return service


@pytest.mark.parametrize(("kind", "answer"), CASES)
def test_a_refusal_is_told_for_what_it_is(
    shell: Any, models: FaultServer, home: Any, kind: type[errors.CborgError], answer: Answer
) -> None:
    models.script("/chat/completions", answer)
    error = fail(shell)
    assert type(error) is kind
    assert len(error._render_traceback_()) <= 4
    assert len(models.requests_to("/chat/completions")) == 1, "asked again"
    assert KEY not in str(error)
    assert HASH not in str(error)
    (row,) = Ledger(home).rows()
    assert (row.outcome, row.error, row.cost.dollars) == (Outcome.FAILED, kind.__name__, 0)


@pytest.mark.parametrize(("kind", "answer"), RETRIED)
def test_what_may_pass_is_tried_again_and_told_when_patience_ends(
    shell: Any,
    service: FaultServer,
    monkeypatch: pytest.MonkeyPatch,
    kind: type[errors.CborgError],
    answer: Answer,
) -> None:
    monkeypatch.setenv("CBORG_MAX_WAIT", "0.01")
    service.always("/chat/completions", answer)
    error = fail(shell)
    assert type(error) is kind
    assert len(error._render_traceback_()) <= 4


def test_a_wrong_key_says_where_it_was_sent_and_where_keys_come_from(
    shell: Any, service: FaultServer
) -> None:
    service.script("/chat/completions", refused(401, "token_not_found_in_db", LITELLM_401))
    words = str(fail(shell))
    assert service.url.removeprefix("http://") in words
    assert "LITELLM_API_KEY" in words


def test_an_unknown_model_is_answered_with_the_nearest(shell: Any, models: FaultServer) -> None:
    models.script("/chat/completions", refused(400, "invalid_request_error", "Invalid model name"))
    assert "Did you mean test-modell?" in str(fail(shell))


def test_a_name_that_the_catalogue_lacks_is_sent_all_the_same(
    shell: Any, models: FaultServer
) -> None:
    assert shell.run_cell("%chat -m hidden/alias hi\n").error_in_exec is None
    assert models.requests_to("/chat/completions")[-1].body["model"] == "hidden/alias"


def test_a_spent_budget_says_whose_it_is_and_when_it_resets(
    shell: Any, service: FaultServer
) -> None:
    info = {"spend": 1.5, "max_budget": 1.0, "budget_reset_at": "2026-12-01T00:00:00Z"}
    service.script("/chat/completions", refused(422, "budget_exceeded", BUDGET))
    service.always("/key/info", json_answer({"key": KEY, "info": {"spend": 0.1}}))
    service.always("/user/info", json_answer({"user_info": info}))
    words = str(fail(shell))
    assert "The user's budget of $1.0 is spent; it resets on 2026-12-01." in words


def test_a_page_from_cloudflare_says_how_to_go_round_it(
    shell: Any, faults: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CBORG_API_KEY", KEY)
    monkeypatch.setenv("CBORG_BASE_URL", faults.url)
    faults.script("/chat/completions", cloudflare(403))
    assert "https://api-local.cborg.lbl.gov" in str(fail(shell))


def test_off_the_network_the_vpn_is_named_within_seconds(
    shell: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CBORG_API_KEY", KEY)
    monkeypatch.setenv("CBORG_BASE_URL", "https://api.cborg.invalid")
    monkeypatch.setenv("CBORG_MAX_WAIT", "0.01")
    error = fail(shell)
    assert type(error) is errors.Unreachable
    assert "cannot reach api.cborg.invalid" in str(error)
    assert "VPN" in str(error)
    assert "https://api.cborg.lbl.gov/key/manage" in str(error)


@pytest.mark.parametrize("ending", ["cut", "no end", "error event"])
def test_an_answer_that_breaks_off_is_kept_and_not_asked_for_again(
    shell: Any, service: FaultServer, home: Any, capsys: Any, ending: str
) -> None:
    event = {"error": {"message": "CUDA out of memory", "type": None, "code": "500"}}
    answers = {
        "cut": chat_stream("half an ", "answer", CUT),
        "no end": chat_stream("half an ", "answer", finish=None, done=False),
        "error event": chat_stream("half an ", "answer", event, finish=None, done=False),
    }
    service.script("/chat/completions", answers[ending])
    error = fail(shell)
    assert type(error) is errors.StreamBroken
    assert error.reply is not None
    assert error.reply.text == "half an answer"
    assert len(service.requests_to("/chat/completions")) == 1
    assert "broken off, partial" in capsys.readouterr().out
    (row,) = Ledger(home).rows()
    assert row.outcome is Outcome.BROKEN


def test_a_key_does_not_follow_to_another_host(shell: Any, service: FaultServer) -> None:
    with FaultServer() as elsewhere:
        service.script("/chat/completions", redirect(f"{elsewhere.url}/v1/chat/completions"))
        shell.run_cell("%chat hi\n")
        for request in elsewhere.requests:
            assert KEY not in str(request.headers)
        assert any(KEY in str(request.headers) for request in service.requests)


def test_every_error_of_the_sdk_becomes_one_of_ours(service: FaultServer) -> None:
    import openai

    service_ = Session.from_environment().service
    client = Client(service_)
    kinds = [kind for kind in list(vars(openai).values()) if isinstance(kind, type)]
    raised = [kind for kind in kinds if issubclass(kind, openai.OpenAIError)]
    assert len(raised) > 10
    for kind in raised:
        error = kind.__new__(kind)
        error.__dict__ |= {"status_code": 418, "body": None, "message": "", "response": _Response()}
        with pytest.raises(errors.CborgError), client.translated("m"):
            raise error


class _Response:
    headers: dict[str, str] = {}  # noqa: RUF012 - as small as it can be


def test_the_tree_at_the_top_of_the_file_is_the_tree() -> None:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type)]
    for kind in kinds:
        if issubclass(kind, errors.CborgError | errors.Interrupted):
            assert kind.__name__ in (errors.__doc__ or "")
