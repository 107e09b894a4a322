"""Can this address be used, and who can reach it?"""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import SplitResult, urlsplit

from cborg_magics.errors import BadAttachment

_HERE_ONLY = (".local", ".internal", ".localhost", ".lan", ".home.arpa")
_PUBLIC = re.compile(r"(.+\.)+[a-z][a-z0-9-]*\.?", re.IGNORECASE)


def is_public(host: str) -> bool:
    """May a service of the internet reach it? Nobody is asked, so that nobody learns of it.

    >>> [is_public(host) for host in ("example.org", "localhost", "10.0.0.1", "hub.local")]
    [True, False, False, False]
    """
    host = host.strip("[]").rstrip(".").lower()
    try:
        return ipaddress.ip_address(host.partition("%")[0]).is_global
    except ValueError:
        return _PUBLIC.fullmatch(host) is not None and not host.endswith(_HERE_ONLY)


def parts_of(address: str, name: str) -> SplitResult:
    """Its parts. Raises `BadAttachment` where it is not of http or https, or has a password."""
    try:
        parts = urlsplit(address)
        _ = parts.port  # a number, or ValueError
    except ValueError:
        raise BadAttachment(f"{name} is no address that can be understood.") from None
    if parts.scheme not in ("http", "https"):
        raise BadAttachment(
            f"{name} leads to a {parts.scheme or 'nameless'} address.",
            "Give one that begins with https:// or http://.",
        )
    if not parts.hostname:
        raise BadAttachment(f"{name} is an address without a host.")
    if parts.username is not None or parts.password is not None:
        raise BadAttachment(
            f"the address {_without_password(name, parts)} holds a name or password.",
            "It is not sent. Download what is there, and attach the file.",
        )
    return parts


def _without_password(name: str, parts: SplitResult) -> str:
    """What to call an address: by its host, where its own words hold the password."""
    return f"at {parts.hostname}" if "@" in name else name
