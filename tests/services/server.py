"""How does a stand-in server put its answers on the wire?

HTTP/1.1 on the loopback, a thread for every connection, the standard library alone. While it is
silent on purpose it still notices when the client goes away, and says so in the `Request`.
"""

from __future__ import annotations

import contextlib
import json
import math
import socket
import sys
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.services.answers import CUT, Answer, Marker, Wire


@dataclass
class Request:
    """One request as it was received, and what became of it."""

    method: str
    path: str  # with the query
    headers: dict[str, str]  # names in lower case
    body: Any  # JSON, or the raw bytes if it is none
    arrived: float = field(default_factory=time.monotonic)
    answered: threading.Event = field(default_factory=threading.Event)
    closed: threading.Event = field(default_factory=threading.Event)  # by the client, too early
    closed_after: float | None = None  # seconds


class ClientGoneError(ConnectionError):
    """The client closed the connection before it had its answer."""


class Server:
    """A server that runs in threads of this process; a subclass says what it answers."""

    def __init__(self, port: int = 0) -> None:
        self.requests: list[Request] = []
        self._port = port  # 0: the first start finds one, and later starts keep it
        self._listener: _Listener | None = None

    def answer(self, request: Request) -> Answer:
        """Say what a request is answered with."""
        raise NotImplementedError

    def __enter__(self) -> Server:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """The address, without /v1."""
        return f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        """Listen, at the same port as before."""
        self._listener = _Listener(self, self._port)
        self._port = self._listener.server_address[1]
        self._listener.thread.start()

    def stop(self) -> None:
        """End all connections, and refuse new ones until the next start."""
        if self._listener:
            self._listener.close()
            self._listener = None


class _Listener(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, owner: Server, port: int) -> None:
        self.owner = owner
        self.stopping = False
        self.connections: list[tuple[threading.Thread, socket.socket]] = []
        super().__init__(("127.0.0.1", port), _Connection)
        self.thread = threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True)

    def process_request(self, request: Any, client_address: Any) -> None:
        arguments = (request, client_address)
        thread = threading.Thread(target=self.process_request_thread, args=arguments, daemon=True)
        self.connections = [pair for pair in self.connections if pair[0].is_alive()]
        self.connections.append((thread, request))
        thread.start()

    def handle_error(self, request: Any, client_address: Any) -> None:
        # A client that goes away is what many tests are about: no traceback for that.
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)

    def close(self) -> None:
        self.stopping = True
        self.shutdown()
        self.thread.join()
        for thread, connection in self.connections:
            with contextlib.suppress(OSError):  # it may be closed already
                connection.shutdown(socket.SHUT_RDWR)
            thread.join()
        self.server_close()


class _Connection(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Listener

    def serve(self) -> None:
        request = self._receive()
        self.server.owner.requests.append(request)
        try:
            self._send(self.server.owner.answer(request))
            request.answered.set()
        except ConnectionError:
            self.close_connection = True
            if not self.server.stopping:
                request.closed_after = time.monotonic() - request.arrived
                request.closed.set()

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = serve  # noqa: N815, http.server's names

    def log_message(self, *_: object) -> None:
        """Keep quiet."""

    def _receive(self) -> Request:
        raw = self.rfile.read(int(self.headers.get("content-length", 0)))
        headers = {name.lower(): value for name, value in self.headers.items()}
        try:
            body = json.loads(raw) if raw else None
        except ValueError:
            body = raw
        return Request(self.command, self.path, headers, body)

    def _send(self, answer: Answer) -> None:
        self._pause(answer.delay)
        if answer.drop:
            self.close_connection = True
            return
        self.send_response_only(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        if answer.stream is None:
            self.send_header("content-length", str(len(answer.body)))
            self.end_headers()
            self.wfile.write(answer.body)
        else:
            self.send_header("transfer-encoding", "chunked")
            self.end_headers()
            self._send_stream(answer.stream)

    def _send_stream(self, pieces: tuple[Wire, ...]) -> None:
        for piece in pieces:
            if piece is CUT:
                self.wfile.write(b"400\r\ndata: {")  # 1024 bytes are promised, 7 are sent
                self.close_connection = True
                return
            if isinstance(piece, bytes):
                self._pause(0)
                self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
            else:
                self._pause(math.inf if isinstance(piece, Marker) else piece)  # HANG: for ever
        self.wfile.write(b"0\r\n\r\n")

    def _pause(self, seconds: float) -> None:
        # A client has nothing to send while it waits: if there is something to read, it is the
        # end of the connection. (A stopping server ends its connections in the same way.)
        self.connection.settimeout(None if seconds == math.inf else seconds)
        try:
            if not self.connection.recv(1, socket.MSG_PEEK):
                raise ClientGoneError
        except (TimeoutError, BlockingIOError):
            pass
        finally:
            self.connection.settimeout(None)
