"""Who has answered, where there is no key to ask anybody with?

A folder of answers that was committed with its notebook speaks for the service that gave them:
so the notebook runs to the same answers where no key and no network is. Nothing is ever sent.
"""

from __future__ import annotations

from cborg_magics import providers
from cborg_magics.answers.folder import AnswerFolder
from cborg_magics.errors import BadSetting, CborgError, NoKey, NoLocalModel
from cborg_magics.providers.provider import Service
from cborg_magics.settings import Settings


def service(settings: Settings) -> tuple[Service, CborgError | None]:
    """The service that the settings name; without a key, the one whose answers are kept, and the
    error that stands in the place of whatever would be sent to it.

    Raises what `providers.choose` does.
    """
    if not settings.named_cache or providers.can_ask(settings):
        return providers.choose(settings), None
    try:
        told = {(kept.provider, kept.address) for kept in AnswerFolder.of(settings)}
    except OSError as problem:
        raise BadSetting(
            f"CBORG_CACHE: cannot read {settings.cache} ({problem.strerror})"
        ) from None
    known = [providers.kept(*each) for each in sorted(told)]
    wanted = [each for each in known if each and settings.provider in (None, each.provider.name)]
    away = [each for each in wanted if not each.provider.here]
    if len(away) > 1:
        raise BadSetting(
            f"{settings.cache} holds answers of {' and '.join(each.host for each in away)}, and"
            " no key is set",
            "Set a key, or keep the answers of each in a folder of their own.",
        )
    if away:
        return away[0], _no_key(away[0], settings)
    try:
        return providers.choose(settings), None
    except NoLocalModel as problem:
        if not wanted:
            raise
        return wanted[0], problem


def _no_key(service: Service, settings: Settings) -> NoKey:
    provider = service.provider
    own = provider.credential(settings)
    return NoKey(
        f"no answer to this is kept in {settings.cache}, and no key for {provider.title} is set",
        f"Run the notebook where {own.key_variable if own else 'a key'} is set, and keep"
        " what is answered.",
    )
