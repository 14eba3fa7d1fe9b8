"""A client's connection, read and written without waiting."""

import select
import socket
import ssl
from typing import Any, Final

from gunicorn.http import get_parser
from gunicorn.http.unreader import Unreader
from gunicorn.sock import ssl_wrap_socket
from gunicorn.workers.gthread import TConn

from rightsmanager.serving.framing import RequestBuffer

RECEIVE_SIZE: Final = 1 << 16
KEEPALIVE_POLL_MS: Final = 2
"""Wait of a thread for the next request of the client that it has just answered."""
PLAIN_HTTP: Final = (
    b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nContent-Length: 45\r\n"
    b"Connection: close\r\n%s\r\nHTTPS is spoken here: write https in the URL\n"
)
"""The reply to plain HTTP where HTTPS is expected, with a place for more headers."""
CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"

_HEAD_END: Final = b"\r\n\r\n"
_PIECE_SIZE: Final = 1 << 14

_WAIT: Final = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


def build_headers(headers: list[tuple[str, str]]) -> bytes:
    """Return the lines of HTTP headers."""
    return "".join(f"{name}: {value}\r\n" for name, value in headers).encode("latin-1")


class ReceivedBytes(Unreader):  # type: ignore[misc] # gunicorn ships no types
    """The source of gunicorn's parser: the bytes of one complete request, and no more.

    The parser copies all that it was given, but has not read, at each chunk of a body and at each
    KiB of one that it skips: given whole, 190 kB of chunks of one byte took 1.9 s. So it gets the
    head at once, which it would read again from the start, and then small pieces.
    """

    def __init__(self) -> None:
        super().__init__()
        self._request = b""
        self._position = 0

    def replace(self, request: bytes) -> None:
        """Begin with another request."""
        self._request, self._position = request, request.find(_HEAD_END) + _PIECE_SIZE
        self.buf.seek(0)
        self.buf.truncate()
        self.unread(request[: self._position])

    def chunk(self, size_hint: int | None = None) -> bytes:
        """Return the next piece; a parser that wants more than all sees the end of the stream."""
        del size_hint
        piece = self._request[self._position : self._position + _PIECE_SIZE]
        self._position += len(piece)
        return piece


class BufferedSocket:
    """A socket that collects a reply, and sends as much of it as the client takes."""

    # Gunicorn sends head and body by two calls: two system calls, two packets, and a wait between
    # them where the client delays its acknowledgement.

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.unsent = b""
        self.request = b""
        """The request that is answered, as it was received."""
        self._pieces: list[bytes] = []

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 -- any attribute of a socket
        return getattr(self.connection, name)

    def setblocking(self, flag: bool) -> None:  # noqa: FBT001 -- as in socket
        """Do nothing: no call on this socket waits."""

    def settimeout(self, seconds: float | None) -> None:
        """Do nothing, as above."""

    def sendall(self, data: bytes) -> None:
        """Collect a piece of the reply."""
        self._pieces.append(data)

    def send(self, data: bytes) -> int:
        """Collect a piece of the reply, but for 100 Continue, which was sent before the body."""
        if data != CONTINUE:
            self._pieces.append(data)
        return len(data)

    def add_headers(self, headers: list[tuple[str, str]]) -> None:
        """Add headers to the collected reply."""
        line, end, rest = b"".join(self._pieces).partition(b"\r\n")
        self._pieces = [line, end, build_headers(headers), rest] if end else []

    def collected_status(self) -> str:
        """Return the status of the collected reply, empty without one."""
        protocol, _, rest = b"".join(self._pieces[:1]).partition(b" ")
        return rest[:3].decode("latin-1") if protocol.startswith(b"HTTP/") else ""

    def flush(self) -> bool:
        """Send the collected pieces; return False if some have to wait for the client."""
        data = self.unsent + b"".join(self._pieces) if self._pieces else self.unsent
        self._pieces = []
        while data:
            try:
                sent = self.connection.send(data)
            except _WAIT:
                break
            data = data[sent:]
        self.unsent = data
        return not data


class Connection(TConn):  # type: ignore[misc] # gunicorn ships no types
    """A connection whose requests are received whole before a thread serves them."""

    def __init__(
        self,
        cfg: Any,  # noqa: ANN401 -- gunicorn ships no types
        client: socket.socket,
        addresses: tuple[Any, Any],
        buffer: RequestBuffer,
    ) -> None:
        client.settimeout(0)
        super().__init__(cfg, BufferedSocket(client), *addresses)
        self.buffer = buffer
        self.initialized = True
        self.parser = get_parser(cfg, self.sock, self.client)
        self.parser.unreader = ReceivedBytes()
        self.is_served = False
        """Whether a request was served, so that the connection is idle without received bytes."""
        self.is_kept = True
        """Whether another request may follow."""
        self.is_shaking_hands = bool(cfg.is_ssl)
        self.is_closing = False
        self.begun = 0.0
        """The time at which the present state began."""

    @property
    def remote(self) -> str:
        """The client's address for the log."""
        # A client of a Unix socket has none.
        return str(self.client[0]) if self.client else "a Unix socket"

    def start_tls(self) -> None:
        """Wrap the socket; raises OSError."""
        self.sock.connection = ssl_wrap_socket(self.sock.connection, self.cfg)

    def shake_hands(self) -> bool:
        """Return whether the handshake is complete; raises OSError if it failed."""
        try:
            self.sock.connection.do_handshake()
        except _WAIT:
            return False
        self.is_shaking_hands = False
        return True

    def receive(self) -> bool:
        """Receive what has come; return whether a request is complete. Raises OSError at an end."""
        while not self.buffer.is_complete():
            try:
                data = self.sock.connection.recv(RECEIVE_SIZE)
            except _WAIT:
                return False
            if not data:
                if not self.buffer.has_head:
                    raise ConnectionResetError
                # The client may still read the refusal of its short body.
                self.buffer.is_cut = True
                continue
            self.buffer.data += data
            if self.buffer.is_head_too_long:
                return False
        return True

    def invite_body(self) -> None:
        """Send 100 Continue to a client that waits for it before it sends the body."""
        if self.buffer.expects_continue:
            self.buffer.expects_continue = False
            self.sock.connection.send(CONTINUE)

    def take_request(self) -> None:
        """Give the parser the complete request."""
        self.is_kept = not self.buffer.is_cut
        self.sock.request = self.buffer.take()
        self.parser.unreader.replace(self.sock.request)

    def is_readable(self) -> bool:
        """Return whether the client sends or closes within KEEPALIVE_POLL_MS."""
        connection = self.sock.connection
        if self.buffer.data or (isinstance(connection, ssl.SSLSocket) and connection.pending()):
            return True
        poller = select.poll()
        poller.register(connection, select.POLLIN)
        return bool(poller.poll(KEEPALIVE_POLL_MS))
