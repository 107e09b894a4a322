"""How does a drawing get into a saved notebook? As a picture whose data stands in its address.

JupyterLab strips <svg> from HTML that is not trusted, and shows no image/svg+xml then; it keeps
<img> with a data address. What is inside cannot run, and cannot reach the network.
"""

from __future__ import annotations

import base64


def picture(svg: str) -> str:
    """The address of a drawing, for an <img>."""
    return f"data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()}"
