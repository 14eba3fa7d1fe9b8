"""A back end of tests: each call gets the next of the behaviours that a test sets."""

from __future__ import annotations

import hashlib
import hmac
import json
import random
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

SECRET = b"0123456789abcdef0123456789abcdef"


def find_free_port() -> int:
    """Return a port for a back end that is started again and again."""
    # Not one that other processes get when they ask for any port.
    while True:
        port = random.SystemRandom().randrange(20000, 30000)
        with socket.socket() as listener, suppress(OSError):
            listener.bind(("127.0.0.1", port))
            return port


def sign(*parts: bytes) -> str:
    return hmac.new(SECRET, b"\n".join(parts), hashlib.sha256).hexdigest()


@dataclass
class Call:
    """A call as it arrived."""

    path: str
    headers: dict[str, str]
    body: bytes
    send: Callable[[bytes], None]
    """Sends bytes to the client."""
    stopping: threading.Event
    """Set at the end of the test."""

    @property
    def document(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.body)
        return found

    def reply(
        self,
        body: bytes,
        signature: str | None = None,
        status: str = "200 OK",
        headers: str = "",
    ) -> None:
        """Answer with a signed body."""
        if signature is None:
            signature = sign(b"answer", self.headers["RightsManager-Nonce"].encode(), body)
        self.send(
            f"HTTP/1.1 {status}\r\nRightsManager-Signature: {signature}\r\n{headers}"
            f"Content-Length: {len(body)}\r\n\r\n".encode()
            + body
        )


Behaviour = Callable[[Call], None]


def answering(document: object) -> Behaviour:
    """Return the behaviour that answers with a document."""
    return lambda call: call.reply(json.dumps(document).encode())


ALLOW = answering({"decision": "allow"})


@dataclass
class BackEnd:
    """A running back end."""

    url: str
    behaviours: list[Behaviour] = field(default_factory=list)
    """Of the next calls; ALLOW after the last."""
    calls: list[Call] = field(default_factory=list)
    connections: int = 0


@contextmanager
def running(port: int = 0) -> Iterator[BackEnd]:
    """Run a back end in this process."""
    stopping = threading.Event()
    back_end = BackEnd("")

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def setup(self) -> None:
            super().setup()
            back_end.connections += 1

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            call = Call(self.path, dict(self.headers), body, self.connection.sendall, stopping)
            back_end.calls.append(call)
            behave = back_end.behaviours.pop(0) if back_end.behaviours else ALLOW
            try:
                behave(call)
            except OSError:
                self.close_connection = True

        def log_message(self, *_arguments: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 128

        def handle_error(self, *_arguments: object) -> None:
            """Print nothing: clients close connections that they are done with."""

        def process_request(self, request: Any, client_address: Any) -> None:  # noqa: ANN401
            open_sockets.append(request)
            super().process_request(request, client_address)

    open_sockets: list[socket.socket] = []
    with Server(("127.0.0.1", port), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        back_end.url = f"http://127.0.0.1:{server.server_port}/base"
        try:
            yield back_end
        finally:
            stopping.set()
            server.shutdown()
            thread.join()
            for each in open_sockets:
                with suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)
