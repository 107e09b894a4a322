"""Pictures go as data addresses to the model that sees, and are searched with words."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from PIL import Image

from cborg_magics.embeddings.asking import embed
from cborg_magics.errors import BadTexts
from cborg_magics.exchange import Source
from cborg_magics.session import Session
from tests.services.encoder import Encoder


@pytest.fixture
def seeing(vectors: Encoder, here: Session) -> Encoder:
    vectors.models = ["nomic-embed-text", "nomic-embed-vision"]
    return vectors


def picture(shade: int) -> Image.Image:
    return Image.fromarray(np.full((20, 30), shade, np.uint8))


def test_a_picture_is_sent_to_the_twin_that_sees_as_a_data_address(seeing: Encoder) -> None:
    found = embed([picture(0), picture(200)])
    (request,) = [each for each in seeing.requests if "embeddings" in each.path]
    assert request.body["model"] == found.model == "nomic-embed-vision"
    kind, _, data = request.body["input"][0].partition(",")
    assert kind == "data:image/png;base64"
    assert Image.open(io.BytesIO(base64.b64decode(data))).size == (30, 20)
    assert len(found) == 2


def test_words_are_embedded_by_the_twin_that_reads(seeing: Encoder) -> None:
    found = embed([picture(0), picture(200)])
    found.search("something dark")
    assert seeing.requests[-1].body["model"] == "nomic-embed-text"
    assert seeing.bare == ["something dark"]


def test_pictures_and_texts_of_the_shared_space_may_be_joined(seeing: Encoder) -> None:
    both = embed([picture(0)]) + embed(["a black square"])
    assert len(both) == 2


def test_a_model_of_texts_is_not_sent_pictures(seeing: Encoder) -> None:
    with pytest.raises(BadTexts, match="takes texts, no pictures"):
        embed([picture(0)], "nomic-embed-text")
    assert not seeing.texts()


def test_the_same_picture_is_paid_for_once(seeing: Encoder) -> None:
    first = embed([picture(0)])
    again = embed([picture(0), picture(0)])
    assert len(seeing.texts()) == 1
    assert first.cost.source is Source.BILLED
    assert again.cost.source is Source.FREE
