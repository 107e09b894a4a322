"""Which model makes the vectors? The one that is named, or set, or the service's own."""

from __future__ import annotations

from cborg_magics.catalogue import Kind, Model
from cborg_magics.errors import BadSetting, BadTexts, UnknownModel
from cborg_magics.session import Session

CATALOGUE_SECONDS = 10.0
# Which model of a space takes pictures, and which one texts.
PICTURES = {"nomic-embed-text": "nomic-embed-vision"}
TEXTS = {pictures: texts for texts, pictures in PICTURES.items()}


def choose(
    session: Session, named: str | None = None, *, pictures: bool = False
) -> tuple[str, Model | None]:
    """The model's name as the service has it, and what is known of it.

    Raises `BadSetting` where the service has no such models, or none is named and it has none of
    the usual ones; `BadTexts` for pictures and a model of texts.
    """
    provider, settings = session.service.provider, session.settings
    if not provider.embeds:
        raise BadSetting(
            f"{provider.title} has no embeddings.",
            "CBORG_PROVIDER=local takes the embedded encoder.",
        )
    if provider.here and named not in (None, provider.embed_model):
        raise UnknownModel(f"{provider.title} has no {named}", f"It has {provider.embed_model}.")
    catalogue = session.catalogue(CATALOGUE_SECONDS)
    wanted = named or (not provider.here and settings.embed_model) or provider.embed_model
    if wanted and pictures and not named:
        wanted = _twin(wanted, PICTURES)
    if pictures and wanted and (provider.here or wanted.removeprefix("lbl/") in PICTURES):
        raise BadTexts(f"{wanted} takes texts, no pictures.", "Take one that can, with -m.")
    if catalogue is None or not catalogue.models:
        if not wanted:
            raise BadSetting("no embedding model is set", "Set CBORG_EMBED_MODEL, or name one: -m.")
        return wanted, None
    if wanted:
        # CBorg's pages write both; the list has one or the other.
        for name in (wanted, wanted.removeprefix("lbl/"), f"lbl/{wanted}"):
            if model := catalogue.find(name):
                return name, _embeds(model, catalogue.only(Kind.EMBEDDING).names())
        if named or settings.embed_model:
            return wanted, None  # services have hidden names: let it refuse
    found = catalogue.only(Kind.EMBEDDING).models
    if len(found) == 1:
        return found[0].name, found[0]
    names = ", ".join(model.name for model in found[:5]) or "%models lists none"
    raise BadSetting(
        f"no embedding model is set for {provider.title}",
        f"Name one with -m or CBORG_EMBED_MODEL: {names}.",
    )


def for_queries(model: str) -> str:
    """The model that embeds a question, where `model` has made the vectors that are searched."""
    return _twin(model, TEXTS)


def _embeds(model: Model, others: list[str]) -> Model:
    """A server would answer a chat model's name with nonsense, or not at all."""
    if model.kind is Kind.EMBEDDING or (model.kind is Kind.CHAT and "embed" in model.name):
        return model
    hint = f"These do: {', '.join(others[:5])}." if others else ""
    raise UnknownModel(f"{model.name} makes no vectors, it is for {model.kind.value}", hint)


def _twin(model: str, twins: dict[str, str]) -> str:
    prefix = "lbl/" if model.startswith("lbl/") else ""
    return prefix + twins.get(model.removeprefix("lbl/"), model.removeprefix("lbl/"))
