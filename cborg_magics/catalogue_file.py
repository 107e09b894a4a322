"""Where is a service's list of models kept from one kernel to the next?

One JSON file for each service, readable by its owner only. It holds no key, and
prices as the digits they came with. What cannot be read is as if it were not there.
"""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Any

from cborg_magics.catalogue import Catalogue, Kind, Model, Prices
from cborg_magics.exchange import Location

VERSION = 1  # of the form; raised when a field of Model changes its meaning


@dataclass(frozen=True)
class CatalogueFile:
    """The file for the service that `provider` reaches at `address`, in the directory `home`."""

    home: Path
    provider: str
    address: str

    @property
    def path(self) -> Path:
        """The file; its name is for people, what it holds says whose it is."""
        host = re.sub(r"[^\w.-]+", "_", self.address.partition("://")[2].partition("?")[0])
        return self.home / "models" / f"{self.provider}-{host}.json"

    def read(self) -> Catalogue | None:
        """What was kept; None if there is nothing, or nothing that we can read."""
        try:
            found = json.loads(self.path.read_text(encoding="utf-8"))
            if [found["version"], found["address"]] != [VERSION, self.address]:
                return None
            read_at = datetime.fromisoformat(found["read_at"])
            if read_at.tzinfo is None:
                return None
            return Catalogue(tuple(_model(row) for row in found["models"]), read_at)
        except (OSError, ValueError, LookupError, TypeError, ArithmeticError, AttributeError):
            return None

    def write(self, catalogue: Catalogue) -> None:
        """Put `catalogue` in the place of what was kept. Raises `OSError`."""
        folder = self.path.parent
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        content = {
            "version": VERSION,
            "address": self.address,
            "read_at": catalogue.read_at.isoformat(),
            "models": [_plain(model) for model in catalogue.models],
        }
        # mkstemp makes it private; another kernel sees the old file or the new one, never half.
        handle, name = tempfile.mkstemp(dir=folder, suffix=".new")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                json.dump(content, file, indent=1)
            Path(name).replace(self.path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise


def _plain(value: Any) -> Any:
    """A value of ours as JSON knows it; what is not said is left out."""
    if isinstance(value, Model | Prices):
        said = {f.name: getattr(value, f.name) for f in fields(value)}
        return {name: _plain(each) for name, each in said.items() if each is not None}
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, Enum):
        return value.value
    return sorted(value) if isinstance(value, frozenset) else value


def _model(row: Mapping[str, Any]) -> Model:
    said: dict[str, Any] = {name: _READ.get(name, _scalar)(row[name]) for name in row}
    return Model(**said)


def _scalar(value: Any) -> str | int | bool:
    if not isinstance(value, str | int | bool):
        raise TypeError(f"{type(value).__name__} in a model")
    return value


def _prices(row: Mapping[str, str]) -> Prices:
    return Prices(**{name: Decimal(value) for name, value in row.items()})


_READ: dict[str, Callable[[Any], object]] = {
    "kind": lambda text: Kind(text),
    "location": lambda text: Location(text),
    "parameters": lambda names: frozenset(names),
    "prices": _prices,
}
