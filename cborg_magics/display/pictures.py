"""What does a reader see of what was attached? A thumbnail, its name, pixels and bytes.

The thumbnail stands inside HTML, so that it is no picture of the notebook's own:
`-a last` never finds it. A picture of the web is named, not shown: it would be fetched.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from html import escape
from typing import Any

from cborg_magics.attachments import raster
from cborg_magics.display import wording
from cborg_magics.display.notebook import QUIET, literal
from cborg_magics.exchange import Attachment, Picture

_ROW = "display:flex;flex-wrap:wrap;gap:4px 16px;align-items:flex-end;margin:0 0 4px 0"
_FRAME = "max-height:96px;border:1px solid var(--jp-border-color2,#bbb);background:#fff"


def attached(attachments: Sequence[Attachment]) -> dict[str, Any]:
    """A row of thumbnails and names, as a notebook's output."""
    words = [f"attached {wording.attachment(each)}" for each in attachments]
    return {"text/html": row(attachments), "text/plain": "\n".join(words)}


def row(attachments: Sequence[Attachment]) -> str:
    """The same as HTML; empty where nothing was attached."""
    if not attachments:
        return ""
    figures = "".join(map(_figure, attachments))
    return f"<div role='group' aria-label='attached' style='{_ROW}'>{figures}</div>"


def _figure(attachment: Attachment) -> str:
    words = literal(wording.attachment(attachment))
    image = ""
    if isinstance(attachment, Picture) and attachment.data:
        data, kind = raster.thumbnail(attachment)
        source = f"data:{kind};base64,{base64.b64encode(data).decode()}"
        alt = escape(attachment.name, quote=True)
        image = f"<img src='{source}' alt='{alt}' style='{_FRAME}'>"
    caption = f"<figcaption style='{QUIET}'>{words}</figcaption>"
    return f"<figure style='margin:0'>{image}{caption}</figure>"
