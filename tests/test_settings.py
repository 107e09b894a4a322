"""The environment is read once, and a mistake in it is said in one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from cborg_magics import providers
from cborg_magics.errors import BadSetting, NoKey
from cborg_magics.settings import Settings

KEY = "sk-test-2f9c81d4ab07e6"
LITELLM = {"LITELLM_API_KEY": KEY, "LITELLM_BASE_URL": "https://proxy.example.org"}
OPENAI = {"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": "https://api.example.org/v1"}
LLMBASE = {"LLMBASE_API_KEY": "llmbase_0123456789"}


def chosen(**environ: str) -> tuple[str, str]:
    """The provider and the address that an environment leads to."""
    service = providers.choose(Settings.read(environ))
    return service.provider.name, service.base_url


@pytest.mark.parametrize(
    ("environ", "provider", "address"),
    [
        ({"CBORG_API_KEY": KEY}, "cborg", "https://api.cborg.lbl.gov/v1"),
        (
            {"CBORG_API_KEY": KEY, "CBORG_BASE_URL": "https://api-local.cborg.lbl.gov/v1/"},
            "cborg",
            "https://api-local.cborg.lbl.gov/v1",
        ),
        (LITELLM, "litellm", "https://proxy.example.org/v1"),
        (LLMBASE, "llmbase", "https://api.llmbase.ai/v1"),
        (OPENAI, "openai", "https://api.example.org/v1"),
        (LITELLM | {"CBORG_API_KEY": KEY}, "cborg", "https://api.cborg.lbl.gov/v1"),
        (OPENAI | LITELLM, "litellm", "https://proxy.example.org/v1"),
        (OPENAI | LITELLM | {"CBORG_PROVIDER": "openai"}, "openai", "https://api.example.org/v1"),
        (
            {
                "CBORG_PROVIDER": "litellm",
                "CBORG_API_KEY": KEY,
                "CBORG_BASE_URL": "https://proxy.example.org",
            },
            "litellm",
            "https://proxy.example.org/v1",
        ),
    ],
)
def test_the_service_follows_from_the_keys(
    environ: dict[str, str], provider: str, address: str
) -> None:
    assert chosen(**environ) == (provider, address)


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"OPENAI_API_KEY": KEY},  # a key for api.openai.com is not ours to use
        {"LITELLM_API_KEY": KEY},
        {"LLMBASE_API_KEY": KEY},  # another tool's variable of the same name
        {"LLMBASE_API_KEY": "llmbase_chat_0123456789"},
    ],
)
def test_without_a_key_and_its_address_the_embedded_model_answers(environ: dict[str, str]) -> None:
    assert chosen(**environ)[0] == "local"


@pytest.mark.parametrize("provider", ["litellm", "openai", "llmbase"])
def test_a_cborg_key_never_goes_to_another_services_host(provider: str) -> None:
    with pytest.raises((BadSetting, NoKey)):
        chosen(CBORG_PROVIDER=provider, CBORG_API_KEY=KEY)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CBORG_BASE_URL", "api.cborg.lbl.gov"),
        ("CBORG_BASE_URL", "http://api.cborg.lbl.gov"),
        ("CBORG_BASE_URL", "https://me:secret@api.cborg.lbl.gov"),
        ("LITELLM_BASE_URL", "ftp://proxy"),
        ("CBORG_MAX_TOKENS", "many"),
        ("CBORG_MAX_TOKENS", "0"),
        ("CBORG_TEMPERATURE", "3"),
        ("CBORG_TEMPERATURE", "nan"),
        ("CBORG_TIMEOUT", "-1"),
        ("CBORG_MAX_WAIT", "soon"),
        ("CBORG_PARALLEL", "1.5"),
        ("CBORG_API_KEY", "sk-first sk-second"),
        ("CBORG_API_KEY", "sk-naïve"),
        ("CBORG_API_KEY_FILE", "/no/such/file"),
    ],
)
def test_a_malformed_value_is_named_with_what_to_do(name: str, value: str) -> None:
    with pytest.raises(BadSetting) as caught:
        Settings.read({name: value})
    lines = str(caught.value).splitlines()
    assert name in lines[0]
    assert len(lines) <= 2
    assert "secret" not in str(caught.value)
    assert "sk-" not in str(caught.value)


def test_an_unknown_provider_is_answered_with_the_list() -> None:
    with pytest.raises(BadSetting, match="cborg, litellm, llmbase, openai, local"):
        chosen(CBORG_PROVIDER="cbrog")


def test_plain_http_is_for_this_machine_only() -> None:
    address = {"LITELLM_API_KEY": KEY, "LITELLM_BASE_URL": "http://127.0.0.1:4000"}
    assert chosen(**address)[0] == "litellm"


def test_a_mounted_secret_is_a_key(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text(f"{KEY}\n")
    settings = Settings.read({"CBORG_API_KEY_FILE": str(file)})
    assert settings.cborg.key is not None
    assert settings.cborg.key.reveal() == KEY
    file.write_text("")
    with pytest.raises(BadSetting, match="empty"):
        Settings.read({"CBORG_API_KEY_FILE": str(file)})


def test_no_key_is_said_with_the_page_where_keys_come_from() -> None:
    with pytest.raises(NoKey) as caught:
        chosen(CBORG_PROVIDER="cborg")
    assert "CBORG_API_KEY" in str(caught.value)
    assert "https://api.cborg.lbl.gov/key/manage" in str(caught.value)


def test_a_key_does_not_show_when_settings_are_printed() -> None:
    settings = Settings.read({"CBORG_API_KEY": KEY} | LITELLM)
    assert KEY not in repr(settings)
    assert KEY not in str(providers.choose(settings))


def test_a_server_on_this_machine_may_need_no_key() -> None:
    environ = {"CBORG_PROVIDER": "openai", "OPENAI_BASE_URL": "http://localhost:11434/v1"}
    assert chosen(**environ) == ("openai", "http://localhost:11434/v1")
