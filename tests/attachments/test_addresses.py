"""An address goes to the service as it is, where that can fetch it; else it is fetched here."""

from __future__ import annotations

import base64
import io
import time
from pathlib import Path

import pytest
from PIL import Image

from cborg_magics.attachments.addresses import is_public
from cborg_magics.attachments.attach import load
from cborg_magics.attachments.fetch import MOST_BYTES, MOST_REDIRECTS, fetch
from cborg_magics.attachments.place import Place
from cborg_magics.errors import BadAttachment
from cborg_magics.exchange import Document, Picture
from tests.services.answers import CUT, DROP, Answer
from tests.services.faults import FaultServer, nobody

buffer = io.BytesIO()
Image.new("RGB", (3, 2), "red").save(buffer, "PNG")
PNG = buffer.getvalue()
SVG = b'<svg xmlns="http://www.w3.org/2000/svg" width="30" height="20"/>'


def answer(body: bytes, kind: str = "image/png") -> Answer:
    return Answer(headers={"content-type": kind}, body=body)


def redirect(to: str) -> Answer:
    return Answer(status=302, headers={"location": to})


# -- what is not fetched -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "address",
    [
        "https://example.org/a.png",
        "https://example.org/a.JPG?size=3#part",
        "https://example.org/picture",
        "https://example.org:8443/picture.php?id=3",
        "https://arxiv.org/figures/2301.12345",
        "https://93.184.216.34/a.png",
        "https://müller.example/ä.png",
    ],
)
def test_a_public_picture_goes_as_its_address(address: str) -> None:
    # No network is there: had it been fetched, this would fail.
    assert load(address, Place()) == (Picture(address, url=address),)


def test_a_variable_may_hold_an_address() -> None:
    address = "https://example.org/a.png"
    assert load("there", Place({"there": address})) == (Picture("there", url=address),)


@pytest.mark.parametrize(
    "host",
    ["example.org", "a.b.co.uk", "8.8.8.8", "2606:4700::1111", "xn--mller-kva.example"],
)
def test_a_public_host_is_known(host: str) -> None:
    assert is_public(host)


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "hub",
        "hub.local",
        "hub.internal",
        "x.localhost",
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f.1",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",
        "::1",
        "fe80::1%eth0",
        "fd00::1",
        "::ffff:10.0.0.1",
        "",
    ],
)
def test_a_private_host_is_known(host: str) -> None:
    assert not is_public(host)


# -- what is fetched ---------------------------------------------------------------------------


def test_a_picture_of_a_private_host_is_sent_as_data(faults: FaultServer) -> None:
    faults.script("/a.png", answer(PNG))
    (made,) = load(f"{faults.url}/a.png", Place())
    assert made == Picture(f"{faults.url}/a.png", "image/png", PNG, size=(3, 2))


def test_no_key_and_no_cookie_goes_along(
    faults: FaultServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login me password secret\n")
    (tmp_path / ".netrc").chmod(0o600)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    monkeypatch.setenv("CBORG_API_KEY", "sk-abcdefgh1234")
    cookie = Answer(status=302, headers={"location": "/b.png", "set-cookie": "a=b"})
    faults.script("/a.png", cookie)
    faults.script("/b.png", answer(PNG))
    load(f"{faults.url}/a.png", Place())
    assert len(faults.requests) == 2
    for request in faults.requests:
        assert not {"authorization", "cookie", "referer"} & request.headers.keys()


@pytest.mark.parametrize(
    ("path", "body", "kind"),
    [
        ("/a.svg", SVG, "image/svg+xml"),
        ("/picture", PNG, "application/octet-stream"),
        ("/a.png", PNG, "text/html"),  # a server that knows no better
    ],
)
def test_pictures_are_known_by_what_is_in_them(
    path: str, body: bytes, kind: str, faults: FaultServer
) -> None:
    faults.script(path, answer(body, kind))
    (made,) = load(f"{faults.url}{path}", Place())
    assert isinstance(made, Picture)
    assert made.data


def test_text_is_a_document(faults: FaultServer) -> None:
    faults.script("/src/a.py", answer(b"x = 1", "text/plain"))
    (made,) = load(f"{faults.url}/src/a.py", Place())
    assert made == Document(f"{faults.url}/src/a.py", "x = 1", "python")


def test_the_pages_of_a_paper_are_pictures(faults: FaultServer, tmp_path: Path) -> None:
    Image.new("RGB", (50, 50)).save(tmp_path / "a.pdf")
    faults.script("/a.pdf", answer((tmp_path / "a.pdf").read_bytes(), "application/pdf"))
    (made,) = load(f"{faults.url}/a.pdf", Place())
    assert made.name == f"{faults.url}/a.pdf page 1"


def test_redirects_are_followed(faults: FaultServer) -> None:
    hops = [f"/{number}" for number in range(MOST_REDIRECTS)]
    for here, there in zip(hops, [*hops[1:], "/a.png"], strict=True):
        faults.script(here, redirect(there))
    faults.script("/a.png", answer(PNG))
    (made,) = load(f"{faults.url}/0", Place())
    assert isinstance(made, Picture)
    assert made.data == PNG


def test_an_umlaut_in_a_path_is_written_as_it_must_be(faults: FaultServer) -> None:
    faults.always("/%C3%A4%20b.png", answer(PNG))
    load(f"{faults.url}/ä%20b.png", Place())
    assert faults.requests[0].path == "/%C3%A4%20b.png"


@pytest.mark.parametrize("name", ["a.pdf", "a.txt", "a.csv", "a.svg", "a.tiff"])
def test_what_is_no_picture_for_a_service_is_fetched_here(name: str) -> None:
    # No network is there, and the error says that it was tried.
    with pytest.raises(BadAttachment, match=r"cannot be fetched|did not come"):
        load(f"https://cborg.invalid/{name}", Place())


def test_where_all_is_fetched_here_no_service_learns_an_address() -> None:
    with pytest.raises(BadAttachment, match=r"cannot be fetched|did not come"):
        load("https://cborg.invalid/a.png", Place(fetch=True))


def test_a_server_that_drips_does_not_hold_the_cell(faults: FaultServer) -> None:
    drips = tuple(piece for _ in range(200) for piece in (b"x", 0.1))
    faults.script("/a.png", Answer(stream=drips))
    began = time.monotonic()
    with pytest.raises(BadAttachment, match=r"within 0.5 s|takes too long"):
        fetch(f"{faults.url}/a.png", "a.png", seconds=0.5)
    assert time.monotonic() - began < 8


# -- data: ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "address",
    [
        f"data:image/png;base64,{base64.b64encode(PNG).decode()}",
        f"DATA:IMAGE/PNG;BASE64,{base64.b64encode(PNG).decode()}",
        "data:image/svg+xml,%3Csvg%20xmlns='http://www.w3.org/2000/svg'%20width='3'%20height='2'/%3E",
    ],
)
def test_data_is_decoded(address: str) -> None:
    (made,) = load(address, Place())
    assert isinstance(made, Picture)
    assert made.size == (3, 2)
    assert len(made.name) < 60


# -- what goes wrong -------------------------------------------------------------------------------

TOO_LARGE = Answer(headers={"content-type": "image/png"}, body=b"\x89PNG" + bytes(MOST_BYTES))
TOO_LONG = Answer(stream=(b"\x89PNG" + bytes(1 << 20),) * 21)


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (Answer(status=404), "its server says 404"),
        (Answer(status=403, body=b"<html>no"), "its server says 403"),
        (Answer(status=500), "its server says 500"),
        (Answer(status=302), "its server says 302"),
        (TOO_LARGE, "larger than 20 MB"),
        (TOO_LONG, "larger than 20 MB"),
        (DROP, "it broke off"),
        (Answer(stream=(b"\x89PNG", CUT)), "broke off"),
        (answer(b""), "is empty"),
        (answer(b"<!DOCTYPE html><p>log in", "text/html"), "is a web page"),
        (answer(b"<html>log in", "image/png"), "is a web page"),
        (answer(b"log in", "text/html"), "is a web page"),
        (answer(PNG[:40]), "is damaged"),
        (answer(b"\x00\x01", "application/octet-stream"), "no picture that can be read"),
        (redirect("/a.png"), "leads from one address to the next"),
        (redirect("ftp://example.org/a.png"), "leads to a ftp address"),
        (redirect("file:///etc/passwd"), "leads to a file address"),
    ],
    ids=lambda each: each if isinstance(each, str) else "",
)
def test_what_goes_wrong_is_said_in_one_line(reply: Answer, said: str, faults: FaultServer) -> None:
    faults.always("/a.png", reply)
    name = f"{faults.url}/a.png"
    with pytest.raises(BadAttachment) as caught:
        load(name, Place())
    assert name in caught.value.what
    assert said in caught.value.what
    assert len(str(caught.value).splitlines()) <= 2


def test_nobody_there_is_said() -> None:
    with pytest.raises(BadAttachment, match=r"cannot be fetched: .*refused"):
        load(f"{nobody()}/a.png", Place())
