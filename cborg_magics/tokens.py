"""How many tokens is that, about? Services count; this is for when they have not yet."""

from __future__ import annotations

from collections.abc import Iterable

from cborg_magics.exchange import Attachment, Document, Message, Picture

BYTES_A_TOKEN = 4  # English prose; code and other scripts take more tokens, so leave a margin
PIXELS_A_TOKEN = 750  # Anthropic's figure; others count tiles, and come to less
LEAST_FOR_A_PICTURE = 85
FOR_AN_ADDRESS = 1600  # a picture that we have not seen


def of_text(text: str) -> int:
    """
    >>> of_text("What is a quark?"), of_text("")
    (4, 0)
    """
    return -(-len(text.encode(errors="replace")) // BYTES_A_TOKEN)


def of_attachment(attachment: Attachment) -> int:
    """
    >>> of_attachment(Picture("fig", size=(750, 1000))), of_attachment(Document("x", "abcd"))
    (1000, 1)
    """
    if isinstance(attachment, Document):
        return of_text(attachment.text)
    if attachment.size is None:
        return FOR_AN_ADDRESS
    width, height = attachment.size
    return max(LEAST_FOR_A_PICTURE, width * height // PIXELS_A_TOKEN)


def of_messages(messages: Iterable[Message]) -> int:
    """Text, documents and pictures of all messages together."""
    return sum(
        of_text(message.content) + sum(map(of_attachment, message.attachments))
        for message in messages
    )


def of_pictures(message: Message) -> int:
    """The part of a message that is pictures."""
    return sum(of_attachment(each) for each in message.attachments if isinstance(each, Picture))
