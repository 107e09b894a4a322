"""How is something fetched from the web? Bounded in bytes, in seconds and in redirects.

By the standard library: httpx would send the password that a .netrc has for the host.
"""

from __future__ import annotations

import queue
import threading
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from http.client import HTTPException, IncompleteRead, RemoteDisconnected
from urllib.parse import quote, urljoin, urlsplit

from cborg_magics.attachments.addresses import is_public, parts_of
from cborg_magics.errors import BadAttachment

MOST_BYTES = 20 * 1024 * 1024
SECONDS = 20.0  # for all of it, redirects included
MOST_REDIRECTS = 5


@dataclass(frozen=True)
class Fetched:
    """What a server gave: bytes, their MIME type as the server has it, and where they were."""

    data: bytes
    type: str
    address: str


def fetch(address: str, name: str, seconds: float = SECONDS) -> Fetched:
    """What is at an http or https address, within so many `seconds`. Raises `BadAttachment`."""
    # In a thread, which is left to itself when the time is over: a server that sends one byte
    # now and then would keep each single wait short.
    results: queue.Queue[Fetched | BaseException] = queue.Queue()
    deadline = time.monotonic() + seconds

    def work() -> None:
        try:
            results.put(_followed(address, name, deadline))
        except BaseException as error:  # noqa: BLE001 - raised again where it was asked for
            results.put(error)

    threading.Thread(target=work, name="fetch", daemon=True).start()
    try:
        got = results.get(timeout=seconds)
    except queue.Empty:
        raise BadAttachment(
            f"{name} did not come within {seconds:g} s.", "Download it, and attach the file."
        ) from None
    if isinstance(got, Fetched):
        return got
    if isinstance(got, BadAttachment):
        raise got
    raise BadAttachment(f"{name} cannot be fetched: {_reason(got)}.") from None


def _followed(address: str, name: str, deadline: float) -> Fetched:
    """The answer at the end of the redirects."""
    began_public = is_public(parts_of(address, name).hostname or "")
    for _ in range(MOST_REDIRECTS + 1):
        parts = parts_of(address, name)
        if began_public and not is_public(parts.hostname or ""):
            # It would be this machine's network that a stranger reads.
            raise BadAttachment(f"{name} leads into a private network, to {parts.hostname}.")
        got = _asked(address, name, deadline)
        if isinstance(got, Fetched):
            return got
        address = urljoin(address, got)
    raise BadAttachment(f"{name} leads from one address to the next, {MOST_REDIRECTS} times.")


def _asked(address: str, name: str, deadline: float) -> Fetched | str:
    """What is there, or where else to look."""
    request = urllib.request.Request(  # noqa: S310 - the scheme was looked at
        _in_ascii(address),
        headers={"User-Agent": "cborg_magics", "Accept": "image/*, application/pdf, text/*"},
    )
    try:
        with _opener().open(request, timeout=max(0.1, deadline - time.monotonic())) as answer:
            length = answer.headers.get("content-length", "")
            if length.isdigit() and int(length) > MOST_BYTES:
                raise _too_large(name)
            data = bytearray()
            while piece := answer.read1(65_536):
                data += piece
                if len(data) > MOST_BYTES:
                    raise _too_large(name)
                if time.monotonic() > deadline:
                    raise TimeoutError("it takes too long")
            if length.isdigit() and len(data) < int(length):
                raise BadAttachment(f"{name} broke off before all of it had come.")
            return Fetched(bytes(data), answer.headers.get_content_type(), address)
    except urllib.error.HTTPError as error:
        with error:
            target = error.headers.get("location") if 300 <= error.code < 400 else None
            if target:
                return str(target)
            words = f"{error.code} {error.reason or ''}".strip()
        raise BadAttachment(f"{name} cannot be fetched: its server says {words}.") from None


def _opener() -> urllib.request.OpenerDirector:
    """Only http and https; no redirects, cookies, passwords or files."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler,
        urllib.request.HTTPHandler,
        urllib.request.HTTPSHandler,
        urllib.request.HTTPErrorProcessor,
        urllib.request.HTTPDefaultErrorHandler,
    ):
        opener.add_handler(handler())
    return opener


def _in_ascii(address: str) -> str:
    """The address as it goes over the wire: umlauts in its path are written as %xx."""
    parts = urlsplit(address)
    host = parts.netloc
    if not host.isascii():
        host = host.encode("idna").decode()
    keep = "/%:=&?~#+!$,;'@()*[]"
    path, query = (quote(each, safe=keep) for each in (parts.path, parts.query))
    return parts._replace(netloc=host, path=path, query=query, fragment="").geturl()


def _too_large(name: str) -> BadAttachment:
    return BadAttachment(f"{name} is larger than {MOST_BYTES >> 20} MB.", "Attach a smaller copy.")


def _reason(error: BaseException) -> str:
    """The system's own words, in one line."""
    cause = getattr(error, "reason", None) or error
    if isinstance(cause, TimeoutError):
        return "it takes too long"
    if isinstance(cause, IncompleteRead | RemoteDisconnected):
        return "it broke off before all of it had come"
    if isinstance(cause, HTTPException):
        return "its server does not speak HTTP properly"
    said = getattr(cause, "strerror", None) or str(cause) or type(cause).__name__
    return str(said).partition("\n")[0].rstrip(".")[:150]
